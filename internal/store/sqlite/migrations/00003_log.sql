-- +goose Up
-- The Merkle tree over a service's log: of how many entries it is, and the roots of its whole subtrees. One row a service,
-- nothing per entry. Where size is less than last, the sequencer catches up.
ALTER TABLE journal_head ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE journal_head ADD COLUMN tree BLOB NOT NULL DEFAULT x'';

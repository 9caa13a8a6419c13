-- +goose Up
-- Parcels that change hands against a delivery code: the hand-overs of an order, the hand-overs themselves, couriers with their device,
-- tries and figures, and their rounds. All they say is sealed.
CREATE TABLE handover_order (
    id      BLOB NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB NOT NULL,
    PRIMARY KEY (id, service, shard)
) WITHOUT ROWID;
CREATE TABLE handover (
    id      BLOB NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    wake_at INTEGER,
    version INTEGER NOT NULL,
    record  BLOB NOT NULL,
    PRIMARY KEY (id, service, shard)
) WITHOUT ROWID;
CREATE TABLE delivery_round (
    id      BLOB NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB NOT NULL,
    PRIMARY KEY (id, service, shard)
) WITHOUT ROWID;
CREATE TABLE courier (
    id      BLOB NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB NOT NULL,
    PRIMARY KEY (id, service, shard)
) WITHOUT ROWID;
CREATE INDEX handover_wake ON handover (wake_at) WHERE wake_at IS NOT NULL;
-- Which kind of row a provider's message belongs to: 2 is a verification, as all were that it was kept of.
ALTER TABLE provider_message ADD COLUMN kind INTEGER NOT NULL DEFAULT 2;

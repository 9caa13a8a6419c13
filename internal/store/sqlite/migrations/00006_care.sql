-- +goose Up
-- What customers and support settle together: cases, reports of suspicious messages and calls, and the phrases of calls that
-- are announced now. All they say is sealed.
CREATE TABLE support_case (
    id      BLOB NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB NOT NULL,
    PRIMARY KEY (id, service, shard)
) WITHOUT ROWID;
CREATE TABLE report (
    id      BLOB NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB NOT NULL,
    PRIMARY KEY (id, service, shard)
) WITHOUT ROWID;
CREATE TABLE phrase (
    id      BLOB NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB NOT NULL,
    PRIMARY KEY (id, service, shard)
) WITHOUT ROWID;
-- Lists of them are by service, the latest first: their ids sort by time.
CREATE INDEX support_case_service ON support_case (service, id);
CREATE INDEX report_service ON report (service, id);
-- What was sent to one contact: 16 bits of its index, then by time.
CREATE INDEX verification_shard ON verification (shard);

-- +goose Up
-- Hot rows: what a record holds is the domain's business; the columns are what the
-- database must know. Verification ids sort by time, so new rows are appended.
CREATE TABLE verification (
    id      BLOB    NOT NULL PRIMARY KEY,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    contact BLOB    NOT NULL,
    wake_at INTEGER,
    version INTEGER NOT NULL,
    record  BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX verification_wake ON verification (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE contact (
    id      BLOB    NOT NULL PRIMARY KEY,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB    NOT NULL
) WITHOUT ROWID;

CREATE TABLE idempotency (
    id      BLOB    NOT NULL PRIMARY KEY,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB    NOT NULL
) WITHOUT ROWID;

-- The activity log: one row a batch and service. first is the number of its first event.
CREATE TABLE journal (
    position INTEGER PRIMARY KEY,
    service  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    first    INTEGER,
    events   BLOB    NOT NULL
);
CREATE INDEX journal_unnumbered ON journal (position) WHERE first IS NULL;
CREATE INDEX journal_feed ON journal (service, first) WHERE first IS NOT NULL;
CREATE TABLE journal_head (
    service INTEGER NOT NULL PRIMARY KEY,
    last    INTEGER NOT NULL
);

-- What callers spent, shared by all nodes.
CREATE TABLE counter (
    caller   BLOB    NOT NULL,
    counted  INTEGER NOT NULL,
    bucket   INTEGER NOT NULL,
    service  INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    ends     INTEGER NOT NULL,
    PRIMARY KEY (caller, counted, bucket, service)
) WITHOUT ROWID;

-- Which message a provider means by its own id.
CREATE TABLE provider_message (
    provider  TEXT    NOT NULL,
    reference TEXT    NOT NULL,
    service   INTEGER NOT NULL,
    shard     INTEGER NOT NULL,
    id        BLOB    NOT NULL,
    number    INTEGER NOT NULL,
    PRIMARY KEY (provider, reference)
) WITHOUT ROWID;

CREATE TABLE service (
    id         INTEGER PRIMARY KEY,
    slug       TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    domain     TEXT    NOT NULL,
    locale     TEXT    NOT NULL,
    policy     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE TABLE service_key (
    service    INTEGER NOT NULL,
    id         INTEGER NOT NULL,
    wrapped    BLOB    NOT NULL,
    makes      INTEGER NOT NULL, -- 1: new codes and seals are made with it
    indexes    INTEGER NOT NULL, -- 1: contacts are found by it
    created_at INTEGER NOT NULL,
    PRIMARY KEY (service, id)
) WITHOUT ROWID;
CREATE TABLE api_key (
    id         TEXT    NOT NULL PRIMARY KEY,
    service    INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    scopes     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Single facts: the master key's fingerprint, the latest time seen, the registry's revision.
CREATE TABLE fact (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

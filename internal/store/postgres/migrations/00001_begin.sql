-- +goose Up
-- Hot rows: what a record holds is the domain's business; the columns are what the
-- database must know. Service and shard are part of every key, so that the tables can be spread;
-- ids come first because verification ids sort by time, so new rows are appended.
CREATE TABLE verification (
    id      UUID     NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER  NOT NULL,
    contact UUID     NOT NULL,
    wake_at BIGINT,
    version INTEGER NOT NULL,
    record  BYTEA    NOT NULL,
    PRIMARY KEY (id, service, shard)
);
CREATE INDEX verification_wake ON verification (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE contact (
    id      UUID     NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER  NOT NULL,
    version INTEGER NOT NULL,
    record  BYTEA    NOT NULL,
    PRIMARY KEY (id, service, shard)
);

CREATE TABLE idempotency (
    id      UUID     NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER  NOT NULL,
    version INTEGER NOT NULL,
    record  BYTEA    NOT NULL,
    PRIMARY KEY (id, service, shard)
);

-- The activity log: one row a batch and service. first is the number of its first event.
CREATE TABLE journal (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service  INTEGER NOT NULL,
    at       BIGINT NOT NULL,
    count    INTEGER NOT NULL,
    first    BIGINT,
    events   BYTEA   NOT NULL
);
CREATE INDEX journal_unnumbered ON journal (position) WHERE first IS NULL;
CREATE INDEX journal_feed ON journal (service, first) WHERE first IS NOT NULL;
CREATE TABLE journal_head (
    service INTEGER NOT NULL PRIMARY KEY,
    last    BIGINT NOT NULL
);

-- What callers spent, shared by all nodes.
CREATE TABLE counter (
    caller   UUID   NOT NULL,
    counted  INTEGER NOT NULL,
    bucket   BIGINT NOT NULL,
    service  INTEGER NOT NULL,
    count    BIGINT  NOT NULL,
    ends     BIGINT NOT NULL,
    PRIMARY KEY (caller, counted, bucket, service)
);

-- Which message a provider means by its own id.
CREATE TABLE provider_message (
    provider  TEXT    NOT NULL,
    reference TEXT    NOT NULL,
    service   INTEGER NOT NULL,
    shard     INTEGER NOT NULL,
    id        UUID   NOT NULL,
    number    INTEGER NOT NULL,
    PRIMARY KEY (provider, reference)
);

CREATE TABLE service (
    id         INTEGER PRIMARY KEY,
    slug       TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    domain     TEXT    NOT NULL,
    locale     TEXT    NOT NULL,
    policy     TEXT    NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE service_key (
    service    INTEGER NOT NULL,
    id         INTEGER NOT NULL,
    wrapped    BYTEA   NOT NULL,
    makes      INTEGER NOT NULL, -- 1: new codes and seals are made with it
    indexes    INTEGER NOT NULL, -- 1: contacts are found by it
    created_at BIGINT NOT NULL,
    PRIMARY KEY (service, id)
);
CREATE TABLE api_key (
    id         TEXT    NOT NULL PRIMARY KEY,
    service    INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    hash       BYTEA   NOT NULL,
    scopes     TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL
);

-- Single facts: the master key's fingerprint, the latest time seen, the registry's revision.
CREATE TABLE fact (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

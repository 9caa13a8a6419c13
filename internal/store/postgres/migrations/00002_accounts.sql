-- +goose Up
-- Customers. A login says whose account a contact signs in to; an account is one row with its
-- factors, devices and sessions; activity is a few entries a row.
CREATE TABLE login (
    id      UUID NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BYTEA NOT NULL,
    PRIMARY KEY (id, service, shard)
);
CREATE TABLE account (
    id      UUID NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    wake_at BIGINT,
    version INTEGER NOT NULL,
    record  BYTEA NOT NULL,
    PRIMARY KEY (id, service, shard)
);
CREATE TABLE activity (
    id      UUID NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BYTEA NOT NULL,
    PRIMARY KEY (id, service, shard)
);
CREATE INDEX account_wake ON account (wake_at) WHERE wake_at IS NOT NULL;

-- Links to messages leave with their verifications, whose ids sort by time.
CREATE INDEX provider_message_id ON provider_message (id);

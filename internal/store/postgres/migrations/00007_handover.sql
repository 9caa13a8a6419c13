-- +goose Up
-- Parcels that change hands against a delivery code: the hand-overs of an order, the hand-overs themselves, couriers with their device,
-- tries and figures, and their rounds. All they say is sealed.
CREATE TABLE handover_order (
    id      UUID NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BYTEA NOT NULL,
    PRIMARY KEY (id, service, shard)
);
CREATE TABLE handover (
    id      UUID NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    wake_at BIGINT,
    version INTEGER NOT NULL,
    record  BYTEA NOT NULL,
    PRIMARY KEY (id, service, shard)
);
CREATE TABLE delivery_round (
    id      UUID NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BYTEA NOT NULL,
    PRIMARY KEY (id, service, shard)
);
CREATE TABLE courier (
    id      UUID NOT NULL,
    service INTEGER NOT NULL,
    shard   INTEGER NOT NULL,
    version INTEGER NOT NULL,
    record  BYTEA NOT NULL,
    PRIMARY KEY (id, service, shard)
);
CREATE INDEX handover_wake ON handover (wake_at) WHERE wake_at IS NOT NULL;
-- Which kind of row a provider's message belongs to: 2 is a verification, as all were that it was kept of.
ALTER TABLE provider_message ADD COLUMN kind INTEGER NOT NULL DEFAULT 2;

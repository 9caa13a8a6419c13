-- +goose Up
-- Who works for a service. Who they are is in their accounts, sealed.
CREATE TABLE staff (
    service INTEGER NOT NULL,
    account BLOB NOT NULL,
    role    INTEGER NOT NULL,
    since   BIGINT NOT NULL,
    PRIMARY KEY (service, account)
);

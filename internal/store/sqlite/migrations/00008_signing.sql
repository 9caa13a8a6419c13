-- +goose Up
-- The keys that services sign proofs and tickets with. A row is never deleted: what a retired key signed can be checked for good.
CREATE TABLE signing_key (
    service    INTEGER NOT NULL,
    kid        TEXT    NOT NULL, -- thumbprint
    public     BLOB    NOT NULL, -- sealed, so that nobody adds one who has the database alone
    sealed     BLOB, -- the private key; NULL when it is retired
    makes      INTEGER NOT NULL, -- 1: new signatures are made with it
    created_at INTEGER NOT NULL,
    retired_at INTEGER NOT NULL, -- 0: it isn't
    PRIMARY KEY (service, kid)
) WITHOUT ROWID;
CREATE UNIQUE INDEX signing_key_makes ON signing_key (service) WHERE makes = 1;

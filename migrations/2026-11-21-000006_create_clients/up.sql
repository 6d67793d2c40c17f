-- Services that sign in for themselves (RFC 6749 §4.4). Their secrets are nowhere, only hashes of them.
CREATE TABLE clients (
    id TEXT PRIMARY KEY NOT NULL,
    -- For people; two clients may share it.
    name TEXT NOT NULL,
    -- What a token of the client may say, separated by spaces; empty for nothing.
    scopes TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    -- The secret before it, which works until the next rotation.
    previous_secret_hash TEXT,
    disabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    -- The last rotation.
    rotated_at BIGINT
);

-- A family of refresh tokens: one sign-in of one device. The tokens themselves are nowhere, only hashes of them.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Good only while it equals the user's.
    token_version BIGINT NOT NULL,
    -- What all tokens of the family have in common, hashed: what it is found by.
    handle_hash TEXT NOT NULL UNIQUE,
    -- What only the current token has, hashed; and the one before it, for a request that is repeated.
    secret_hash TEXT NOT NULL,
    previous_secret_hash TEXT,
    -- Unix milliseconds: the grace is too short to be counted in seconds.
    rotated_at_ms BIGINT,
    device TEXT,
    ip TEXT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);

CREATE INDEX sessions_user_id ON sessions (user_id);
-- For whoever throws away what has expired.
CREATE INDEX sessions_last_used_at ON sessions (last_used_at);

-- The ring of keys that sign and verify our tokens, beside the one that is made of `token.secret`.
CREATE TABLE signing_keys (
    -- `kid`.
    id TEXT PRIMARY KEY NOT NULL,
    -- `HS256`, `EdDSA` or `ES256`.
    algorithm TEXT NOT NULL,
    -- The key as a JWK, sealed under a key derived from `token.secret`; null when it was retired.
    sealed TEXT,
    created_at BIGINT NOT NULL,
    -- The key that signs is the one with the latest time that is not to come; null for one that was only added.
    signs_from BIGINT,
    -- It verifies nothing any more.
    retired_at BIGINT
);

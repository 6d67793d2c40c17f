-- Since when each `token.secret` signs, so that one that was replaced stays expired when the settings change again. The secret
-- itself is not stored, and that it was retired stands in `signing_keys` under the same `kid`.
CREATE TABLE token_secrets (
    -- `kid`.
    id TEXT PRIMARY KEY NOT NULL,
    -- When a service first started with it, or with it again.
    signs_from BIGINT NOT NULL
);

-- One-time codes that were exchanged, so that no replica exchanges one again. A code itself is stored nowhere.
CREATE TABLE spent_codes (
    id TEXT PRIMARY KEY NOT NULL,
    -- The code is refused from then on by its own end, and its row may go.
    expires_at BIGINT NOT NULL
);

CREATE INDEX spent_codes_expires_at ON spent_codes (expires_at);

-- Whose tokens were ended before their time, for services that verify tokens by themselves. A row may go once every token it
-- could end has expired.
CREATE TABLE revocations (
    -- `sub` of the tokens: a user's id, or `client:` and a client's. No reference: it outlives the user.
    subject TEXT PRIMARY KEY NOT NULL,
    -- Tokens issued under a lower number are ended.
    token_version BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL
);

CREATE INDEX revocations_revoked_at ON revocations (revoked_at);

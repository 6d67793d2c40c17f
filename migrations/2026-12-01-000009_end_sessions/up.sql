-- When all tokens and sessions of the user were last ended: a provider's ID token that was issued before is rejected.
ALTER TABLE users ADD COLUMN revoked_at BIGINT;

-- How and when the user last proved who they are; a refresh keeps both. Null in sessions of an earlier version, which never count
-- as a fresh sign-in.
ALTER TABLE sessions ADD COLUMN auth_time BIGINT;
ALTER TABLE sessions ADD COLUMN idp TEXT;
-- How often the previous refresh token was presented again from another address than that of the rotation.
ALTER TABLE sessions ADD COLUMN repeats BIGINT NOT NULL DEFAULT 0;

-- Sessions that were ended one by one, for services that verify tokens by themselves. A row may be deleted once every access token
-- of the session has expired. No reference: it outlives the session and the user.
CREATE TABLE ended_sessions (
    id TEXT PRIMARY KEY NOT NULL,
    ended_at BIGINT NOT NULL
);

CREATE INDEX ended_sessions_ended_at ON ended_sessions (ended_at);

DROP TABLE ended_sessions;
ALTER TABLE sessions DROP COLUMN repeats;
ALTER TABLE sessions DROP COLUMN idp;
ALTER TABLE sessions DROP COLUMN auth_time;
ALTER TABLE users DROP COLUMN revoked_at;

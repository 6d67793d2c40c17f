-- Prefix search: in byte order a prefix is a range, which an index serves. A database's own order need not be that of
-- bytes; SQLite's collation of this name is, and PostgreSQL is given one before the first migration (src/db/mod.rs).
DROP INDEX users_email_lower;
ALTER TABLE users RENAME COLUMN email_lower TO email_unordered;
ALTER TABLE users ADD COLUMN email_lower TEXT COLLATE "binary";
ALTER TABLE users ADD COLUMN name_lower TEXT COLLATE "binary";
UPDATE users SET email_lower = email_unordered, name_lower = lower(name COLLATE "binary");
ALTER TABLE users DROP COLUMN email_unordered;
-- With the id, which is what a search wants of them: the table is not looked at.
CREATE INDEX users_email_lower ON users (email_lower, id);
CREATE INDEX users_name_lower ON users (name_lower, id);
CREATE INDEX identities_provider_id ON identities (provider_id);

-- A name or a picture the user chose: the provider's does not replace it.
ALTER TABLE users ADD COLUMN own_name BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE users ADD COLUMN own_avatar BOOLEAN NOT NULL DEFAULT FALSE;

-- One user of an address at most may sign in with it and a password.
CREATE UNIQUE INDEX users_password_email ON users (email_lower) WHERE password_hash IS NOT NULL;
-- Few among many: whoever asks for the last administrator does not read everybody.
CREATE INDEX users_admin ON users (id) WHERE admin;

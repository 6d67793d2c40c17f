CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    -- Only ever an address that a provider has verified; null otherwise.
    email TEXT,
    -- The same with ASCII letters in lower case, to find it by.
    email_lower TEXT,
    name TEXT,
    avatar_url TEXT,
    admin BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL,
    -- The `ver` claim of a token must equal it: raising it ends every token of this user.
    token_version BIGINT NOT NULL,
    password_hash TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    last_login_at BIGINT
);

CREATE INDEX users_email_lower ON users (email_lower);

CREATE TABLE identities (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    -- OpenID Connect `sub`, or GitHub's numeric id. Never a login or an e-mail: those change hands.
    provider_id TEXT NOT NULL,
    -- As the provider last gave it, verified or not: for people to recognise the identity by, never to find a user by.
    email TEXT,
    -- The user's e-mail follows this identity.
    gives_email BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    UNIQUE (provider, provider_id)
);

CREATE INDEX identities_user_id ON identities (user_id);

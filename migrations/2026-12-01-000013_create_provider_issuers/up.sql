-- Whose people each provider's name stands for. A `sub` means something within its issuer only (OpenID Connect Core §5.7), and
-- identities are stored under the provider's name.
CREATE TABLE provider_issuers (
    -- The provider's name in the settings.
    name TEXT PRIMARY KEY NOT NULL,
    -- Its issuer; for GitHub `api_url`.
    issuer TEXT NOT NULL,
    -- When a service first started with it, or an administrator accepted it.
    accepted_at BIGINT NOT NULL
);

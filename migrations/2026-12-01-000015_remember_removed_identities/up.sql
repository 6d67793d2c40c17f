-- Identities that were unlinked, or deleted with their user, for as long as a provider's ID token of before may still be valid: such a
-- token must neither create the account anew nor be linked to another one. Only a hash: the person asked to be deleted.
CREATE TABLE removed_identities (
    identity_hash TEXT PRIMARY KEY NOT NULL,
    removed_at BIGINT NOT NULL
);

CREATE INDEX removed_identities_removed_at ON removed_identities (removed_at);

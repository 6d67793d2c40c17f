-- The address that the provider last verified. It counts only while it equals `email`: a replica of an earlier version writes
-- `email` alone.
ALTER TABLE identities ADD COLUMN verified_email TEXT;
UPDATE identities SET verified_email = email
    WHERE gives_email AND EXISTS (SELECT 1 FROM users WHERE users.id = identities.user_id AND users.email = identities.email);

-- From which addresses the account was signed in to within the last hour, as short hashes with the time of each, so that one
-- event an hour is written for each method and address.
ALTER TABLE identities ADD COLUMN recent_sign_ins TEXT;
ALTER TABLE users ADD COLUMN password_sign_ins TEXT;

-- The identity that gave the address was unlinked, and only the password, which is the last sign-in method, keeps it:
-- `accounts.link_verified_email` does not match it. Addresses that were left behind so by an earlier version, too.
ALTER TABLE users ADD COLUMN email_unproved BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE users SET email_unproved = TRUE
    WHERE email IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM identities WHERE identities.user_id = users.id AND identities.gives_email)
    AND EXISTS (SELECT 1 FROM events WHERE events.user_id = users.id AND events.kind = 'identity.unlinked');

-- The audiences whose tokens the client may introspect, separated by spaces; empty for all.
ALTER TABLE clients ADD COLUMN audiences TEXT NOT NULL DEFAULT '';
-- When the client was enabled after it had been disabled: tokens issued before stay invalid.
ALTER TABLE clients ADD COLUMN tokens_from BIGINT;

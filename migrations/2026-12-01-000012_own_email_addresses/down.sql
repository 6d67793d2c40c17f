ALTER TABLE clients DROP COLUMN tokens_from;
ALTER TABLE clients DROP COLUMN audiences;
ALTER TABLE users DROP COLUMN email_unproved;
ALTER TABLE users DROP COLUMN password_sign_ins;
ALTER TABLE identities DROP COLUMN recent_sign_ins;
ALTER TABLE identities DROP COLUMN verified_email;

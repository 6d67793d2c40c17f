-- The session that a one-time code gave, so that a replay of the code ends it (RFC 6749 §4.1.2). Null when the code gave an access
-- token alone. Not a reference: the session may end before the code expires, and the code stays used.
ALTER TABLE spent_codes ADD COLUMN session_id TEXT;

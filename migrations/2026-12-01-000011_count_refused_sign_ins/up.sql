-- Rejected sign-ins are counted: one row for each address, method, error code, user and minute. This column names those five, so that
-- two replicas add to the same row. Null for all other events, and for rejected sign-ins written by an earlier version.
ALTER TABLE events ADD COLUMN refused_key TEXT;

CREATE UNIQUE INDEX events_refused ON events (refused_key) WHERE refused_key IS NOT NULL;

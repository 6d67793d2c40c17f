DROP INDEX events_refused;
ALTER TABLE events DROP COLUMN refused_key;

ALTER TABLE spent_codes DROP COLUMN session_id;

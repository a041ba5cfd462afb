-- What limits a key, and whom to believe.

ALTER TABLE project_keys ADD COLUMN rate_limit TEXT;
ALTER TABLE events ADD COLUMN is_trusted INTEGER NOT NULL DEFAULT 1;
ALTER TABLE issues ADD COLUMN unconfirmed_since INTEGER;

-- The audit trail. No reference to users: it outlives them, and keeps nothing of them but the id.
CREATE TABLE events (
    id TEXT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    -- Who did it; null for the command line, for a setting and for strangers.
    actor_id TEXT,
    -- To whom.
    user_id TEXT,
    ip TEXT,
    request_id TEXT,
    -- A JSON object; never a token, an e-mail or a name.
    detail TEXT NOT NULL
);

CREATE INDEX events_at ON events (at);
CREATE INDEX events_kind ON events (kind, id);
CREATE INDEX events_user_id ON events (user_id, id);

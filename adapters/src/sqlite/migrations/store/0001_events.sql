-- What this file is: its epoch, and the secret that spreads routing keys over partitions.
CREATE TABLE log (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    epoch      BLOB    NOT NULL,
    secret     BLOB    NOT NULL,
    partitions INTEGER NOT NULL
) STRICT;

-- place = partition * 2^48 + seq: one B-tree, and each partition is appended to at its end.
CREATE TABLE events (
    place        INTEGER PRIMARY KEY,
    partition    INTEGER GENERATED ALWAYS AS (place >> 48) VIRTUAL,
    seq          INTEGER GENERATED ALWAYS AS (place & 0xffffffffffff) VIRTUAL,
    tenant       TEXT    NOT NULL,
    stream       TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    published_at INTEGER NOT NULL, -- Unix milliseconds
    holds_state  INTEGER NOT NULL,
    header       BLOB    NOT NULL, -- shared.events.v1.Header
    payload      BLOB    NOT NULL, -- encrypted
    UNIQUE (tenant, stream, version)
) STRICT;

-- Where the last event with the whole state of an entity is.
CREATE TABLE current_states (
    tenant       TEXT    NOT NULL,
    entity_type  TEXT    NOT NULL,
    entity_id    TEXT    NOT NULL,
    routing_kind INTEGER NOT NULL,
    routing_id   TEXT    NOT NULL,
    place        INTEGER NOT NULL REFERENCES events (place),
    PRIMARY KEY (tenant, entity_type, entity_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX current_states_by_routing_key
    ON current_states (tenant, entity_type, routing_kind, routing_id, entity_id);

CREATE TABLE idempotency (
    tenant     TEXT    NOT NULL,
    scope      TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    input_hash BLOB    NOT NULL, -- an HMAC: inputs hold PHI
    result     TEXT    NOT NULL,
    at         INTEGER NOT NULL, -- Unix milliseconds
    PRIMARY KEY (tenant, scope, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
    worker TEXT NOT NULL PRIMARY KEY,
    epoch  BLOB NOT NULL,
    vector TEXT NOT NULL -- a JSON array: a seq for each partition
) STRICT, WITHOUT ROWID;

-- What this store is: its epoch, and the secret that spreads routing keys over partitions. `sluice migrate` draws both.
CREATE TABLE sluice.log (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch      bytea   NOT NULL CHECK (length(epoch) = 8),
    secret     bytea   NOT NULL CHECK (length(secret) = 32),
    partitions integer NOT NULL CHECK (partitions BETWEEN 1 AND 32768)
);

-- The last seq of each partition, and when it was published. Whoever appends holds the row's lock until the commit, so seqs are
-- dense and in commit order. Rows are rewritten with every commit: there is room for it on each page.
CREATE TABLE sluice.heads (
    partition    integer PRIMARY KEY,
    seq          bigint  NOT NULL DEFAULT 0,
    published_at bigint  NOT NULL DEFAULT 0 -- Unix milliseconds
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Texts are compared by their bytes (COLLATE "C"), so that pages of ids have one order everywhere.
CREATE TABLE sluice.events (
    partition    integer NOT NULL,
    seq          bigint  NOT NULL,
    tenant       text    NOT NULL COLLATE "C",
    stream       text    NOT NULL COLLATE "C",
    version      bigint  NOT NULL,
    published_at bigint  NOT NULL, -- Unix milliseconds
    holds_state  boolean NOT NULL,
    header       bytea   NOT NULL, -- shared.events.v1.Header
    payload      bytea   NOT NULL, -- encrypted, so it does not compress
    PRIMARY KEY (partition, seq),
    UNIQUE (tenant, stream, version)
);
ALTER TABLE sluice.events ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Where the last event with the whole state of an entity is.
CREATE TABLE sluice.current_states (
    tenant       text    NOT NULL COLLATE "C",
    entity_type  text    NOT NULL COLLATE "C",
    entity_id    text    NOT NULL COLLATE "C",
    routing_kind integer NOT NULL,
    routing_id   text    NOT NULL COLLATE "C",
    partition    integer NOT NULL,
    seq          bigint  NOT NULL,
    PRIMARY KEY (tenant, entity_type, entity_id)
);

CREATE INDEX current_states_by_routing_key
    ON sluice.current_states (tenant, entity_type, routing_kind, routing_id, entity_id);

CREATE TABLE sluice.idempotency (
    tenant     text   NOT NULL COLLATE "C",
    scope      text   NOT NULL COLLATE "C",
    key        text   NOT NULL COLLATE "C",
    input_hash bytea  NOT NULL, -- an HMAC: inputs hold PHI
    result     text   NOT NULL,
    at         bigint NOT NULL, -- Unix milliseconds
    PRIMARY KEY (tenant, scope, key)
);

CREATE TABLE sluice.checkpoints (
    worker text     NOT NULL COLLATE "C" PRIMARY KEY,
    epoch  bytea    NOT NULL,
    vector bigint[] NOT NULL -- a seq for each partition
);

-- The trail. `body` is the truth; `at` and `tenant` are read out of it, so that they can't tell another story.
CREATE TABLE sluice.audit_records (
    writer    text COLLATE "C" NOT NULL, -- node and boot
    number    bigint           NOT NULL, -- dense, from 1
    prev_hash bytea            NOT NULL, -- of the writer's record before; SHA-256 of the writer's name for the first one
    hash      bytea            NOT NULL, -- SHA-256 (prev_hash || body)
    body      text             NOT NULL, -- JSON
    at        bigint GENERATED ALWAYS AS ((body::json ->> 'at')::bigint) STORED, -- Unix milliseconds
    tenant    text   GENERATED ALWAYS AS (body::json ->> 'tenant') STORED,
    PRIMARY KEY (writer, number)
);

-- Where to look for what one person saw, and for who saw what of one patient.
CREATE TABLE sluice.audit_recipients (
    tenant  text   NOT NULL,
    user_id text   NOT NULL,
    writer  text   COLLATE "C" NOT NULL,
    number  bigint NOT NULL,
    PRIMARY KEY (tenant, user_id, writer, number)
);

CREATE TABLE sluice.audit_patients (
    tenant  text   NOT NULL,
    patient text   NOT NULL,
    writer  text   COLLATE "C" NOT NULL,
    number  bigint NOT NULL,
    PRIMARY KEY (tenant, patient, writer, number)
);

CREATE FUNCTION sluice.audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege'; END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sluice.audit_records
    FOR EACH STATEMENT EXECUTE FUNCTION sluice.audit_is_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sluice.audit_recipients
    FOR EACH STATEMENT EXECUTE FUNCTION sluice.audit_is_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sluice.audit_patients
    FOR EACH STATEMENT EXECUTE FUNCTION sluice.audit_is_append_only();

-- For replication's sessions too.
ALTER TABLE sluice.audit_records    ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE sluice.audit_recipients ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE sluice.audit_patients   ENABLE ALWAYS TRIGGER append_only;

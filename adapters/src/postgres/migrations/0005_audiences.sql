-- Whom an event went to, where they are many: kept once, under the name that the bodies of its records have. `body` is the
-- truth here too: the name is its SHA-256, so the chains of those records cover it.
CREATE TABLE sluice.audit_audiences (
    digest bytea PRIMARY KEY, -- SHA-256 (body)
    body   text  NOT NULL     -- JSON: an array of recipients
);

-- Where to look for the audiences that one person is in, and for the records of an audience.
CREATE TABLE sluice.audit_audience_users (
    tenant  text  NOT NULL,
    user_id text  NOT NULL,
    digest  bytea NOT NULL,
    PRIMARY KEY (tenant, user_id, digest)
);

CREATE TABLE sluice.audit_audience_records (
    tenant text   NOT NULL,
    digest bytea  NOT NULL,
    writer text   COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (tenant, digest, writer, number)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sluice.audit_audiences
    FOR EACH STATEMENT EXECUTE FUNCTION sluice.audit_is_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sluice.audit_audience_users
    FOR EACH STATEMENT EXECUTE FUNCTION sluice.audit_is_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sluice.audit_audience_records
    FOR EACH STATEMENT EXECUTE FUNCTION sluice.audit_is_append_only();

-- For replication's sessions too.
ALTER TABLE sluice.audit_audiences        ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE sluice.audit_audience_users   ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE sluice.audit_audience_records ENABLE ALWAYS TRIGGER append_only;

-- Both ways to the records of which somebody was a recipient. No record is found by both.
CREATE VIEW sluice.audit_received AS
    SELECT tenant, user_id, writer, number FROM sluice.audit_recipients
    UNION ALL
    SELECT tenant, user_id, writer, number
    FROM sluice.audit_audience_users JOIN sluice.audit_audience_records USING (tenant, digest);

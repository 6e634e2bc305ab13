-- Whom an event went to, where they are many: kept once, under the name that the bodies of its records have. `body` is the
-- truth here too: the name is its SHA-256, so the chains of those records cover it.
CREATE TABLE audiences (
    digest BLOB NOT NULL PRIMARY KEY, -- SHA-256 (body)
    body   TEXT NOT NULL              -- JSON: an array of recipients
) STRICT;

-- Where to look for the audiences that one person is in, and for the records of an audience.
CREATE TABLE audience_users (
    tenant TEXT NOT NULL,
    user   TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (tenant, user, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE audience_records (
    tenant TEXT    NOT NULL,
    digest BLOB    NOT NULL,
    writer TEXT    NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (tenant, digest, writer, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audiences_are_never_updated BEFORE UPDATE ON audiences
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audiences_are_never_deleted BEFORE DELETE ON audiences
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audience_users_are_never_updated BEFORE UPDATE ON audience_users
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audience_users_are_never_deleted BEFORE DELETE ON audience_users
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audience_records_are_never_updated BEFORE UPDATE ON audience_records
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audience_records_are_never_deleted BEFORE DELETE ON audience_records
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

-- One index over everything has a page of its own for each person, and to write 256 records is to write as many pages, twice.
-- So there is an index for each 1024 records of a writer: while those come in, it is a handful of pages. Whoever looks
-- somebody up looks once into each.
CREATE TABLE segments (
    id     INTEGER NOT NULL PRIMARY KEY,
    writer TEXT    NOT NULL,
    first  INTEGER NOT NULL -- the number of its first record
) STRICT;

CREATE TABLE segment_recipients (
    segment INTEGER NOT NULL,
    tenant  TEXT    NOT NULL,
    user    TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (segment, tenant, user, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE segment_patients (
    segment INTEGER NOT NULL,
    tenant  TEXT    NOT NULL,
    patient TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (segment, tenant, patient, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER segments_are_never_updated BEFORE UPDATE ON segments
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER segments_are_never_deleted BEFORE DELETE ON segments
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER segment_recipients_are_never_updated BEFORE UPDATE ON segment_recipients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER segment_recipients_are_never_deleted BEFORE DELETE ON segment_recipients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER segment_patients_are_never_updated BEFORE UPDATE ON segment_patients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER segment_patients_are_never_deleted BEFORE DELETE ON segment_patients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

-- What was indexed before stays as it is. Under another name: whoever asked it alone would now miss the half.
ALTER TABLE audit_recipients RENAME TO early_recipients;
ALTER TABLE audit_patients   RENAME TO early_patients;

-- All ways to the records that tell of somebody.
CREATE VIEW audit_received (tenant, user, writer, number) AS
    SELECT tenant, user, writer, number FROM early_recipients
    UNION ALL
    SELECT tenant, user, writer, number FROM segments CROSS JOIN segment_recipients ON segment = id
    UNION ALL
    SELECT r.tenant, user, writer, number
    FROM audience_users AS u CROSS JOIN audience_records AS r ON r.tenant = u.tenant AND r.digest = u.digest;

CREATE VIEW audit_patients (tenant, patient, writer, number) AS
    SELECT tenant, patient, writer, number FROM early_patients
    UNION ALL
    SELECT tenant, patient, writer, number FROM segments CROSS JOIN segment_patients ON segment = id;

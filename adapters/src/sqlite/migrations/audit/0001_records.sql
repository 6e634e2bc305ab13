-- The trail. `body` is the truth; the other columns are read out of it, so that they can't tell another story.
CREATE TABLE records (
    writer    TEXT    NOT NULL, -- node and boot
    number    INTEGER NOT NULL, -- dense, from 1
    prev_hash BLOB    NOT NULL, -- of the writer's record before; SHA-256 of the writer's name for the first one
    hash      BLOB    NOT NULL, -- SHA-256 (prev_hash || body)
    body      TEXT    NOT NULL, -- JSON
    at        INTEGER GENERATED ALWAYS AS (body ->> 'at') VIRTUAL, -- Unix milliseconds
    tenant    TEXT    GENERATED ALWAYS AS (body ->> 'tenant') VIRTUAL,
    PRIMARY KEY (writer, number)
) STRICT;

-- Where to look for what one person saw, and for who saw what of one patient.
CREATE TABLE audit_recipients (
    tenant TEXT    NOT NULL,
    user   TEXT    NOT NULL,
    writer TEXT    NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, writer, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_patients (
    tenant  TEXT    NOT NULL,
    patient TEXT    NOT NULL,
    writer  TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (tenant, patient, writer, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER records_are_never_updated BEFORE UPDATE ON records
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER records_are_never_deleted BEFORE DELETE ON records
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER recipients_are_never_updated BEFORE UPDATE ON audit_recipients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER recipients_are_never_deleted BEFORE DELETE ON audit_recipients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER patients_are_never_updated BEFORE UPDATE ON audit_patients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER patients_are_never_deleted BEFORE DELETE ON audit_patients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

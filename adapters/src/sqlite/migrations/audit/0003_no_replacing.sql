-- `INSERT OR REPLACE` removes the row that is in its way, and no trigger on DELETE fires unless that connection has asked for
-- it (recursive_triggers). So what is there already refuses to be inserted; an upsert's UPDATE is refused as any other.
-- Tables with a rowid refuse that of another row too: it can be named. (Where none is named, NEW.rowid is -1.)
CREATE TRIGGER records_are_never_replaced BEFORE INSERT ON records BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only') FROM records WHERE writer = NEW.writer AND number = NEW.number;
    SELECT RAISE(ABORT, 'the audit trail is append-only') FROM records WHERE rowid = NEW.rowid;
END;
CREATE TRIGGER audiences_are_never_replaced BEFORE INSERT ON audiences BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only') FROM audiences WHERE digest = NEW.digest OR rowid = NEW.rowid;
END;
CREATE TRIGGER audience_users_are_never_replaced BEFORE INSERT ON audience_users BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only') FROM audience_users
    WHERE tenant = NEW.tenant AND user = NEW.user AND digest = NEW.digest;
END;
CREATE TRIGGER audience_records_are_never_replaced BEFORE INSERT ON audience_records BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only') FROM audience_records
    WHERE tenant = NEW.tenant AND digest = NEW.digest AND writer = NEW.writer AND number = NEW.number;
END;
CREATE TRIGGER segment_recipients_are_never_replaced BEFORE INSERT ON segment_recipients BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only') FROM segment_recipients
    WHERE segment = NEW.segment AND tenant = NEW.tenant AND user = NEW.user AND number = NEW.number;
END;
CREATE TRIGGER segment_patients_are_never_replaced BEFORE INSERT ON segment_patients BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only') FROM segment_patients
    WHERE segment = NEW.segment AND tenant = NEW.tenant AND patient = NEW.patient AND number = NEW.number;
END;

-- A record's segment is looked for when the trail is verified.
CREATE UNIQUE INDEX segments_of_writers ON segments (writer, first);
CREATE TRIGGER segments_are_never_replaced BEFORE INSERT ON segments BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only') FROM segments
    WHERE id = NEW.id OR (writer = NEW.writer AND first = NEW.first);
END;

-- Nothing is indexed here any more.
CREATE TRIGGER early_recipients_are_never_added BEFORE INSERT ON early_recipients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER early_patients_are_never_added BEFORE INSERT ON early_patients
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

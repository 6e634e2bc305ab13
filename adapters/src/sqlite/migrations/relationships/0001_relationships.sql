CREATE TABLE journal (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO journal (one, revision) VALUES (1, 0);

CREATE TABLE relationships (
    resource_type    TEXT NOT NULL,
    resource_id      TEXT NOT NULL, -- with the tenant: acme/m-1
    relation         TEXT NOT NULL,
    subject_type     TEXT NOT NULL,
    subject_id       TEXT NOT NULL,
    subject_relation TEXT NOT NULL, -- empty where the subject is the object itself
    expires          TEXT,          -- RFC 3339
    PRIMARY KEY (resource_type, resource_id, relation, subject_type, subject_id, subject_relation)
) STRICT, WITHOUT ROWID;

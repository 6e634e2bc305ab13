-- Where the client of a named subscription continues.
CREATE TABLE subscribers (
    tenant TEXT NOT NULL,
    user   TEXT NOT NULL,
    name   TEXT NOT NULL,
    cursor TEXT NOT NULL, -- in its text form
    PRIMARY KEY (tenant, user, name)
) STRICT, WITHOUT ROWID;

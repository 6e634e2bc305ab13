-- Where the client of a named subscription continues.
CREATE TABLE sluice.subscribers (
    tenant  text NOT NULL,
    user_id text NOT NULL,
    name    text NOT NULL,
    cursor  text NOT NULL, -- in its text form
    PRIMARY KEY (tenant, user_id, name)
);

-- Tokens that count no longer. A place is never given twice: nodes read on behind the last one that they know.
CREATE TABLE revocations (
    place        INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant       TEXT    NOT NULL,
    token        BLOB,    -- SHA-256 of its `jti`
    user         TEXT,
    issued_until INTEGER, -- of the user's tokens; seconds since the epoch
    kept_until   INTEGER NOT NULL, -- seconds since the epoch
    CHECK ((token IS NULL) <> (user IS NULL) AND (user IS NULL) = (issued_until IS NULL)),
    CHECK (token IS NULL OR length(token) = 32)
) STRICT;
CREATE INDEX revocations_kept_until ON revocations (kept_until);

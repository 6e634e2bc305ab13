-- Never in a backup beside the other files: who has both can read everything, and what was erased is erased only here.
CREATE TABLE tenants (
    tenant      TEXT NOT NULL PRIMARY KEY,
    wrapping    BLOB NOT NULL, -- AES-256
    fingerprint BLOB NOT NULL  -- HMAC-SHA256
) STRICT, WITHOUT ROWID;

CREATE TABLE data_keys (
    tenant       TEXT    NOT NULL REFERENCES tenants (tenant),
    routing_kind INTEGER NOT NULL,
    routing_id   TEXT    NOT NULL,
    wrapped      BLOB    NOT NULL, -- version, nonce, AES-256-GCM ciphertext and tag
    PRIMARY KEY (tenant, routing_kind, routing_id)
) STRICT, WITHOUT ROWID;

-- Which master key wraps the tenants' secrets: a value derived from it, that tells nothing of it.
CREATE TABLE sluice.master_key (
    one         integer PRIMARY KEY CHECK (one = 1),
    check_value bytea   NOT NULL
);

CREATE TABLE sluice.tenant_secrets (
    tenant  text  PRIMARY KEY,
    wrapped bytea NOT NULL -- version, nonce, AES-256-GCM ciphertext and tag: of the wrapping key and the fingerprint key
);

CREATE TABLE sluice.data_keys (
    tenant       text    NOT NULL REFERENCES sluice.tenant_secrets (tenant),
    routing_kind integer NOT NULL,
    routing_id   text    NOT NULL,
    wrapped      bytea   NOT NULL,
    PRIMARY KEY (tenant, routing_kind, routing_id)
);

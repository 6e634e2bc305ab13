-- Tokens that count no longer. Nodes read on behind the last place that they know, so places are given under a lock: in the order
-- of the commits, and none twice.
CREATE TABLE sluice.revocations (
    place        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       text   NOT NULL,
    token        bytea,  -- SHA-256 of its `jti`
    user_id      text,
    issued_until bigint, -- of the user's tokens; seconds since the epoch
    kept_until   bigint NOT NULL, -- seconds since the epoch
    CHECK ((token IS NULL) <> (user_id IS NULL) AND (user_id IS NULL) = (issued_until IS NULL)),
    CHECK (token IS NULL OR length(token) = 32)
);
CREATE INDEX revocations_kept_until ON sluice.revocations (kept_until);

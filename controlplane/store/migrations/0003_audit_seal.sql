-- The hash chain over entries of LiteLLM_AuditLog that are ours: one row each, in the order they were sealed, without
-- gaps. `mac` covers the entry and the row before (audit/chain.c); `key` tells under which key.
CREATE TABLE weir.audit_seal (
    seq bigint PRIMARY KEY,
    audit_id text NOT NULL UNIQUE,
    mac bytea NOT NULL,
    key text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE weir.audit_origin ADD COLUMN sealed boolean NOT NULL DEFAULT false;
CREATE INDEX audit_unsealed ON weir.audit_origin (seq) WHERE NOT sealed;

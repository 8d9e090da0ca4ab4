-- Where the control planes stand in the spools of data planes, and what came of the records.

-- Advanced in the transaction that writes what the records say: a record counts once.
CREATE TABLE weir.spool (
    id bytea PRIMARY KEY,
    segment bigint NOT NULL,
    "offset" bigint NOT NULL,
    records bigint NOT NULL DEFAULT 0, -- taken so far
    damaged bigint NOT NULL DEFAULT 0, -- places skipped: bit rot
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Parts of a spool that were gone before they came: segments deleted at the cap.
CREATE TABLE weir.spool_gap (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    spool bytea NOT NULL,
    from_segment bigint NOT NULL,
    from_offset bigint NOT NULL,
    to_segment bigint NOT NULL,
    to_offset bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

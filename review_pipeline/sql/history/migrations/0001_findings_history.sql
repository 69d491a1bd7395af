-- The findings history. No primary keys: the ledger guards uniqueness and a check verifies it (an index costs 2x the file, 5x the write).
-- All times are UTC. Money is exact: the cheapest token is 5e-9 USD.

CREATE TABLE applied (
    seq BIGINT NOT NULL,            -- the last outbox row that this file contains
    applied_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE applied IS 'One row: the outbox sequence up to which this history is complete, and when it was applied.';

CREATE TABLE cells (
    cell VARCHAR NOT NULL,          -- 'nightly-acme-api|2026-11-22'
    audit VARCHAR NOT NULL,         -- 'nightly-acme-api'
    audit_date DATE NOT NULL,
    workload VARCHAR NOT NULL,
    repo VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,      -- the commit that was read
    model VARCHAR NOT NULL,
    prompt_version VARCHAR NOT NULL,
    planned_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE cells IS 'One row per planned audit of one day: which commit of which repository was read, with which model and prompt.';

CREATE TABLE files (
    cell VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    blob VARCHAR NOT NULL,
    bytes BIGINT NOT NULL,
    language VARCHAR,
    plan VARCHAR NOT NULL,          -- submitted | unchanged | in_flight | skipped
    reason VARCHAR                  -- why it was skipped, or which earlier answer stands
);
COMMENT ON TABLE files IS 'One row per file of the audited commit: what the plan decided for it. What became of it: view coverage.';

CREATE TABLE requests (
    custom_id VARCHAR NOT NULL,
    parent VARCHAR,                 -- the failed request that this one replaces (whole or as one chunk of it)
    root VARCHAR NOT NULL,          -- the first request for this file
    submission VARCHAR NOT NULL,
    cell VARCHAR NOT NULL,
    workload VARCHAR NOT NULL,
    repo VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    blob VARCHAR NOT NULL,
    start_line INTEGER NOT NULL,
    end_line INTEGER NOT NULL,
    round INTEGER NOT NULL,         -- 0 is the first submission
    attempt INTEGER NOT NULL,
    change VARCHAR NOT NULL,        -- first | unchanged | chunked | larger_max_tokens | repaired
    model VARCHAR NOT NULL,
    prompt_version VARCHAR NOT NULL,
    line_keys UBIGINT[]             -- keys of all lines of a file reviewed before in another version: what is missing was removed
);
COMMENT ON TABLE requests IS 'One row per request that was intended (every attempt and every chunk is a row).';

CREATE TABLE outcomes (
    custom_id VARCHAR NOT NULL,
    batch_id VARCHAR NOT NULL,
    class VARCHAR NOT NULL,         -- ok, truncated, context_out, refusal, paused, bad_output, too_long, billing, invalid, transient, expired, canceled, missing
    billed BOOLEAN NOT NULL,
    stop_reason VARCHAR,
    error_type VARCHAR,
    error_message VARCHAR,
    model VARCHAR,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_5m_tokens BIGINT NOT NULL,
    cache_write_1h_tokens BIGINT NOT NULL,
    cost_usd DECIMAL(18, 9) NOT NULL,       -- at batch prices
    sync_cost_usd DECIMAL(18, 9) NOT NULL,  -- what the same tokens cost through the synchronous API
    price_version VARCHAR NOT NULL,
    findings INTEGER NOT NULL,
    collected_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE outcomes IS 'One row per request that came back (or is missing from complete results): its one class, tokens and cost.';

CREATE TABLE batches (
    batch_id VARCHAR NOT NULL,
    submission VARCHAR NOT NULL,
    cell VARCHAR NOT NULL,
    workload VARCHAR NOT NULL,
    round INTEGER NOT NULL,
    model VARCHAR NOT NULL,
    requests INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    errored INTEGER NOT NULL,
    canceled INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP,
    collected_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE batches IS 'One row per collected Message Batch, with the API''s own counts.';

CREATE TABLE findings (
    fingerprint UUID NOT NULL,
    repo VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    start_line INTEGER,
    end_line INTEGER,
    side VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,      -- critical | warning | info
    confidence DOUBLE NOT NULL,     -- 0..1
    issue VARCHAR NOT NULL,
    suggestion VARCHAR NOT NULL,
    evidence VARCHAR NOT NULL,      -- the quoted line
    anchor VARCHAR NOT NULL,        -- exact | moved | unanchored
    workload VARCHAR NOT NULL,
    pass VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    prompt_version VARCHAR NOT NULL,
    cost_usd DECIMAL(18, 9) NOT NULL,
    status VARCHAR NOT NULL,        -- open | fixed | dismissed | not_verifiable
    status_reason VARCHAR,
    status_at TIMESTAMP NOT NULL,
    route VARCHAR NOT NULL,         -- developer | human
    delivery VARCHAR NOT NULL,      -- none (the audits' findings live in reports) or where it was posted
    blob VARCHAR NOT NULL,
    first_cell VARCHAR NOT NULL,
    last_cell VARCHAR NOT NULL,
    last_custom_id VARCHAR NOT NULL,
    first_seen_at TIMESTAMP NOT NULL,
    last_seen_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE findings IS 'One row per finding (by fingerprint) in its present state.';

CREATE TABLE finding_events (
    fingerprint UUID NOT NULL,
    event VARCHAR NOT NULL,         -- opened | seen | fixed | reopened | dismissed | not_verifiable
    reason VARCHAR,
    cell VARCHAR NOT NULL,
    custom_id VARCHAR,
    event_date DATE NOT NULL,       -- the day of the audit, whenever its results came
    event_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE finding_events IS 'One row per thing that happened to a finding, append-only: weekly trends are counted here.';

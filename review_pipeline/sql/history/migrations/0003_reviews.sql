CREATE TABLE reviews (
    review VARCHAR NOT NULL,
    repo VARCHAR NOT NULL,
    number VARCHAR NOT NULL,        -- of the pull request, or the name of the branch
    base_ref VARCHAR NOT NULL,
    head_ref VARCHAR NOT NULL,
    head VARCHAR NOT NULL,
    merge_base VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    authored_by_claude BOOLEAN NOT NULL,
    author_sessions VARCHAR[] NOT NULL, -- that the commits name as their own
    state VARCHAR NOT NULL,         -- reviewed | incomplete | nothing_to_review | failed
    summary VARCHAR NOT NULL,
    planned_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE reviews IS 'One row per finished review of a change: one head of one branch or pull request.';

CREATE TABLE review_files (
    review VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    state VARCHAR NOT NULL,         -- reviewed | partly | skipped | failed
    reason VARCHAR NOT NULL,
    added INTEGER NOT NULL,
    removed INTEGER NOT NULL
);
COMMENT ON TABLE review_files IS 'One row per changed file of a review: the one state it ended in, and why.';

CREATE TABLE review_calls (
    session_id VARCHAR NOT NULL,
    review VARCHAR NOT NULL,
    pass VARCHAR NOT NULL,          -- file | across | summary
    unit VARCHAR NOT NULL,
    state VARCHAR NOT NULL,         -- answered | failed | asked (nobody knows how it ended)
    mishap VARCHAR,
    version VARCHAR,                -- of the claude binary
    model VARCHAR,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cache_read_tokens BIGINT,
    cache_write_tokens BIGINT,
    cost_usd DECIMAL(18, 9),
    turns INTEGER,
    asked_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP
);
COMMENT ON TABLE review_calls IS 'One row per process of claude -p: which pass and unit it answered, with which model, for how much.';

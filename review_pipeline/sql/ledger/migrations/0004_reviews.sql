-- Reviews of changes that block a merge: what was planned, every call of `claude`, and the findings of each change as they stand.
CREATE TABLE reviews (
    review TEXT PRIMARY KEY,               -- hash of repo, number, head, merge base and configuration
    repo TEXT NOT NULL,
    number TEXT NOT NULL,                  -- of the pull request, or the name of the branch
    base_ref TEXT NOT NULL,
    head_ref TEXT NOT NULL,
    base TEXT NOT NULL,
    head TEXT NOT NULL,
    merge_base TEXT NOT NULL,
    config_version TEXT NOT NULL,
    title TEXT NOT NULL,
    author TEXT NOT NULL,
    model TEXT NOT NULL,
    authored_by_claude TEXT NOT NULL,      -- by what it was recognised; '' if not
    author_sessions TEXT NOT NULL,         -- JSON: sessions that the commits name as their own
    state TEXT NOT NULL CHECK (state IN ('planned', 'reviewed', 'incomplete', 'nothing_to_review', 'failed')),
    plan TEXT NOT NULL,                    -- JSON: passes with their calls and reasons
    summary TEXT NOT NULL DEFAULT '',
    troubles TEXT NOT NULL DEFAULT '[]',   -- JSON: what makes it incomplete
    counts TEXT NOT NULL DEFAULT '{}',     -- JSON: findings by what became of them
    planned_at TEXT NOT NULL,
    finished_at TEXT
);
CREATE INDEX reviews_by_change ON reviews (repo, number, planned_at);

CREATE TABLE review_calls (                -- one row per process of `claude`: intent, then what came of it
    session_id TEXT PRIMARY KEY,
    review TEXT NOT NULL REFERENCES reviews (review),
    pass TEXT NOT NULL,
    unit TEXT NOT NULL,
    call_key TEXT NOT NULL,                -- what the answer depends on
    state TEXT NOT NULL CHECK (state IN ('asked', 'answered', 'failed')),
    answer TEXT,                           -- JSON, redacted
    text TEXT,
    mishap TEXT,
    said TEXT,
    version TEXT,
    model TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    cost_usd TEXT,
    turns INTEGER,
    denials TEXT,
    asked_at TEXT NOT NULL,
    ended_at TEXT
);
CREATE INDEX review_calls_by_key ON review_calls (review, call_key);

CREATE TABLE review_files (
    review TEXT NOT NULL REFERENCES reviews (review),
    path TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reviewed', 'partly', 'skipped', 'failed')),
    reason TEXT NOT NULL,
    added INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (review, path)
) WITHOUT ROWID;

CREATE TABLE review_answers (              -- which patches were reviewed to the end, so that they are not paid for again
    repo TEXT NOT NULL,
    number TEXT NOT NULL,
    patch_key TEXT NOT NULL,
    review TEXT NOT NULL,
    PRIMARY KEY (repo, number, patch_key)
) WITHOUT ROWID;

CREATE TABLE review_findings (             -- of each change, as they stand after its last review
    repo TEXT NOT NULL,
    number TEXT NOT NULL,
    finding TEXT NOT NULL,                 -- UUID
    path TEXT NOT NULL,
    side TEXT NOT NULL,
    start_line INTEGER,
    end_line INTEGER,
    anchor TEXT NOT NULL,
    in_diff INTEGER NOT NULL,
    code TEXT NOT NULL,
    occurrence INTEGER NOT NULL,
    category TEXT NOT NULL,
    severity TEXT NOT NULL,
    confidence REAL NOT NULL,
    issue TEXT NOT NULL,
    suggestion TEXT NOT NULL,
    evidence TEXT NOT NULL,
    passes TEXT NOT NULL,
    reason TEXT NOT NULL,
    disputed TEXT NOT NULL,
    note TEXT NOT NULL,
    duplicate_of TEXT NOT NULL,            -- beside which finding it is told; '' if it stands for itself
    route TEXT NOT NULL CHECK (route IN ('developer', 'human')),
    status TEXT NOT NULL CHECK (status IN ('open', 'fixed', 'dismissed', 'not_verifiable')),
    status_reason TEXT NOT NULL,
    triaged TEXT NOT NULL DEFAULT '',      -- 'accepted' once a human sent it to the developer
    head TEXT NOT NULL,                    -- the commit in which the place was last seen
    blob TEXT NOT NULL,
    first_review TEXT NOT NULL,
    last_review TEXT NOT NULL,
    first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    PRIMARY KEY (repo, number, finding)
) WITHOUT ROWID;
CREATE INDEX review_findings_waiting ON review_findings (route, status);

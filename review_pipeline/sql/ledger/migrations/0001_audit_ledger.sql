-- Operational truth of the audits. Times are ISO 8601 in UTC, money is decimal text, both sortable and exact.

CREATE TABLE asks (                        -- audits that somebody asked for and no run has planned yet
    cell TEXT PRIMARY KEY,
    asked_at TEXT NOT NULL
);

CREATE TABLE cells (                       -- one audit of one day
    cell TEXT PRIMARY KEY,
    audit TEXT NOT NULL,
    audit_date TEXT NOT NULL,
    workload TEXT NOT NULL,
    repo TEXT NOT NULL,
    revision TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    route_reason TEXT NOT NULL,
    counts TEXT NOT NULL,                  -- JSON: files by what the plan decided
    planned_at TEXT NOT NULL
);

CREATE TABLE submissions (                 -- one intended Message Batch
    submission TEXT PRIMARY KEY,
    cell TEXT NOT NULL REFERENCES cells (cell),
    round INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intended', 'sending', 'in_progress', 'ended', 'collected')),
    folder TEXT NOT NULL,                  -- below the spool: body.json, manifest.parquet
    body_bytes INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    model TEXT NOT NULL,
    batch_id TEXT UNIQUE,
    not_batches TEXT NOT NULL DEFAULT '[]', -- JSON: batches that looked like this one and proved to be others'
    counts TEXT,                           -- JSON: the API's own counts
    planned_at TEXT NOT NULL,
    sent_at TEXT,
    fence TEXT,                            -- the newest batch of the workspace just before sending: ours can only be newer
    created_at TEXT,
    ended_at TEXT,
    collected_at TEXT,
    cost_usd TEXT,
    sync_cost_usd TEXT,
    note TEXT                              -- the last thing that went wrong, for people
);
CREATE INDEX submissions_by_state ON submissions (state);
CREATE INDEX submissions_by_cell ON submissions (cell);

CREATE TABLE requests (                    -- every attempt and every chunk is a row
    custom_id TEXT PRIMARY KEY,
    submission TEXT NOT NULL REFERENCES submissions (submission),
    parent TEXT,
    root TEXT NOT NULL,
    content_key TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    outcome TEXT,                          -- NULL while the batch has not been collected
    detail TEXT,
    history TEXT NOT NULL DEFAULT '',      -- outcomes of the requests before it, comma separated: attempts are counted here
    follow_up TEXT CHECK (follow_up IN ('replaced', 'given_up'))
) WITHOUT ROWID;
CREATE INDEX requests_by_submission ON requests (submission, outcome);
CREATE INDEX requests_unsettled ON requests (submission) WHERE outcome <> 'ok' AND follow_up IS NULL;
CREATE INDEX requests_by_root ON requests (root);

CREATE TABLE contents (                    -- what was asked about which content, so that it is asked once
    content_key TEXT PRIMARY KEY,
    workload TEXT NOT NULL,
    repo TEXT NOT NULL,
    path TEXT NOT NULL,
    cell TEXT NOT NULL,
    root TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('asked', 'answered', 'final', 'failed')),
    reason TEXT
) WITHOUT ROWID;
CREATE INDEX contents_by_path ON contents (repo, workload, path);
CREATE INDEX contents_by_root ON contents (root);

CREATE TABLE pauses (                      -- why nothing is submitted until somebody resumes
    scope TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    paused_at TEXT NOT NULL
);

CREATE TABLE outbox (                      -- what the findings history has still to apply, in this order
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    audit_date TEXT,                       -- the day whose weekly report it changes
    payload TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX outbox_by_day ON outbox (audit_date, seq) WHERE audit_date IS NOT NULL;

CREATE TABLE reports (                     -- weekly reports: up to which outbox row each one tells
    week TEXT PRIMARY KEY,                 -- a Monday
    seq INTEGER NOT NULL
);

CREATE TABLE published (                   -- one row: the last outbox row that findings.duckdb holds
    seq INTEGER NOT NULL
);
INSERT INTO published VALUES (0);

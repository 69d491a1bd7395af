-- Pull requests of a forge: what was seen of each, what was posted, and what people made of it.
CREATE TABLE marker_key (key TEXT NOT NULL); -- of the marks in what is posted: who reads a mark cannot make another one
INSERT INTO marker_key VALUES (lower(hex(randomblob(32))));

CREATE TABLE forge_repositories (          -- ids by which the forge knows configured repositories
    slug TEXT PRIMARY KEY,
    node_id TEXT NOT NULL,
    seen_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE pull_heads (                  -- the last that was seen of each open pull request; the queue of those to review
    repo TEXT NOT NULL,
    number INTEGER NOT NULL,
    head TEXT NOT NULL,
    base_ref TEXT NOT NULL,
    head_ref TEXT NOT NULL,
    state TEXT NOT NULL,                   -- open, closed, merged
    is_draft INTEGER NOT NULL,
    is_fork INTEGER NOT NULL,
    author TEXT NOT NULL,
    author_id INTEGER,
    author_kind TEXT NOT NULL,
    updated_at TEXT,
    seen_at TEXT NOT NULL,                 -- when this head, base and draft state were first seen
    source TEXT NOT NULL,                  -- sensor or webhook
    wanted INTEGER NOT NULL,               -- 1 until it is reviewed and told, or needs no review
    note TEXT NOT NULL DEFAULT '',         -- why it is not wanted
    PRIMARY KEY (repo, number)
) WITHOUT ROWID;
CREATE INDEX pull_heads_wanted ON pull_heads (wanted, seen_at);

CREATE TABLE deliveries (                  -- of webhooks, so that a redelivery changes nothing
    delivery TEXT PRIMARY KEY,
    received_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE posts (                       -- one row for everything that is to appear on the forge: intent, then what came of it
    post TEXT PRIMARY KEY,                 -- keyed id; it is in the hidden mark
    repo TEXT NOT NULL,
    number TEXT NOT NULL,
    review TEXT NOT NULL,                  -- empty for the commit of a merge queue
    head TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('review', 'comment', 'body', 'doubt', 'reply', 'resolve', 'check', 'status', 'label', 'reviewers', 'sarif', 'merge_group')),
    finding TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL CHECK (state IN ('planned', 'asked', 'done', 'refused', 'superseded')),
    remote_id TEXT NOT NULL DEFAULT '',
    url TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    planned_at TEXT NOT NULL,
    asked_at TEXT,
    ended_at TEXT
) WITHOUT ROWID;
CREATE INDEX posts_by_change ON posts (repo, number, kind);
CREATE INDEX posts_by_review ON posts (review);

CREATE TABLE heard_pulls (                 -- when the answers on a pull request were read last
    repo TEXT NOT NULL,
    number TEXT NOT NULL,
    heard_at TEXT NOT NULL,
    is_settled INTEGER NOT NULL,           -- it is closed, and nothing more is expected
    PRIMARY KEY (repo, number)
) WITHOUT ROWID;

CREATE TABLE finding_outcomes (            -- what became of a told finding: the newest of each kind by each person
    repo TEXT NOT NULL,
    number TEXT NOT NULL,
    finding TEXT NOT NULL,
    outcome TEXT NOT NULL,
    actor TEXT NOT NULL,
    why TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    PRIMARY KEY (repo, number, finding, outcome, actor)
) WITHOUT ROWID;

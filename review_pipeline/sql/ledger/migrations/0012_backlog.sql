-- Pull requests that were looked at for the overnight backlog: each in one state, with the calls that its review waits for.
CREATE TABLE backlog_pulls (
    cell TEXT NOT NULL REFERENCES cells (cell),
    number TEXT NOT NULL,                  -- of the pull request, or the name of the branch
    head TEXT NOT NULL,
    review TEXT NOT NULL DEFAULT '',       -- '' where none was planned
    calls TEXT NOT NULL DEFAULT '[]',      -- JSON: calls of the first pass, each with the first request that asks it
    state TEXT NOT NULL CHECK (state IN ('asked', 'reviewed', 'already_reviewed', 'in_flight', 'skipped', 'superseded', 'lost')),
    note TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (cell, number)
) WITHOUT ROWID;
CREATE INDEX backlog_pulls_asked ON backlog_pulls (review) WHERE state = 'asked';

ALTER TABLE review_calls ADD COLUMN batch_id TEXT NOT NULL DEFAULT ''; -- of the batch that brought the answer; its costs are the batch's

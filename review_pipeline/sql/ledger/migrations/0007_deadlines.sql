ALTER TABLE cells ADD COLUMN deadline_at TEXT;                          -- NULL: planned before there were deadlines
ALTER TABLE submissions ADD COLUMN route TEXT NOT NULL DEFAULT 'batch' CHECK (route IN ('batch', 'sync'));
ALTER TABLE submissions ADD COLUMN cancel_asked_at TEXT;                -- we canceled its batch, to keep a deadline

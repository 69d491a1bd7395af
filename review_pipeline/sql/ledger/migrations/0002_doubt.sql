-- Since when nobody sends it and its batch has to be looked for. NULL: it was never in doubt, so the batch it names is certainly its own.
ALTER TABLE submissions ADD COLUMN doubted_at TEXT;

-- What was decided about the prompt cache, and why; '' where an older program planned.
ALTER TABLE cells ADD COLUMN caching TEXT NOT NULL DEFAULT '';

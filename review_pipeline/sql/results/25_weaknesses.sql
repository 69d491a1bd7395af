-- Only security audits ask for the kind of weakness.
ALTER TABLE claims ADD COLUMN IF NOT EXISTS cwe VARCHAR;

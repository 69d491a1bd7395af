ALTER TABLE findings ADD COLUMN cwe VARCHAR;
COMMENT ON COLUMN findings.cwe IS 'The Common Weakness Enumeration entry, as CWE-89; NULL where nobody asked for it.';

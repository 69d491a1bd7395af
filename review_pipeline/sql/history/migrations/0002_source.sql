CREATE TABLE source (ledger VARCHAR NOT NULL);
COMMENT ON TABLE source IS 'One row: the ledger whose events fill this history.';

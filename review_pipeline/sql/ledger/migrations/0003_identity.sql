-- Whose events these are: a history filled from another ledger must not count this one's as its own.
CREATE TABLE identity (ledger TEXT NOT NULL);
INSERT INTO identity VALUES (lower(hex(randomblob(16))));

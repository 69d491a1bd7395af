CREATE TABLE policy_rules (
    cell VARCHAR NOT NULL,
    position INTEGER NOT NULL,      -- in the policy, from 1
    rule VARCHAR NOT NULL,
    title VARCHAR NOT NULL
);
COMMENT ON TABLE policy_rules IS 'One row per audit of documents and rule of the policy that it asked for.';

CREATE TABLE verdicts (
    custom_id VARCHAR NOT NULL,     -- of the request, which may have shown only a part of the document
    repo VARCHAR NOT NULL,          -- the set of documents
    path VARCHAR NOT NULL,
    blob VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL,       -- violated | met | unclear | not_found | not_applicable
    confidence DOUBLE NOT NULL,
    explanation VARCHAR NOT NULL,
    passage VARCHAR NOT NULL,       -- as quoted; empty where nothing was
    anchor VARCHAR NOT NULL,        -- exact | moved | unanchored (it does not stand in what was shown) | none (nothing was quoted)
    start_line INTEGER,             -- of the document's text
    end_line INTEGER,
    page INTEGER,                   -- of a PDF
    cost_usd DECIMAL(18, 9) NOT NULL,
    threshold DOUBLE NOT NULL,      -- the confidence from which no human had to look, when it was collected
    collected_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE verdicts IS 'One row per answered request about a document and rule of its policy. The word of whole documents: view document_verdicts.';

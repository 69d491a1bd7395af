-- One row per document and rule: the word of the whole document, merged from its pieces as merged() of core/compliance.py says.
CREATE OR REPLACE VIEW document_verdicts AS
WITH said AS (
    SELECT documents.cell, documents.document, verdicts.*,
        CASE
            WHEN verdict = 'violated' AND anchor IN ('exact', 'moved') THEN 0
            WHEN verdict = 'violated' THEN 1
            WHEN verdict = 'met' AND anchor IN ('exact', 'moved') THEN 2
            WHEN verdict = 'met' THEN 3
            WHEN verdict = 'unclear' THEN 4
            WHEN verdict = 'not_found' THEN 5
            ELSE 6
        END AS rank
    FROM documents
    JOIN requests ON requests.cell = documents.asked_in AND requests.path = documents.document
    JOIN verdicts ON verdicts.custom_id = requests.custom_id
),
merged AS (
    SELECT * FROM said
    QUALIFY row_number() OVER (PARTITION BY cell, document, "rule" ORDER BY rank, confidence DESC, start_line, custom_id) = 1
),
judged AS (
    SELECT documents.document_set, documents.document, rules."rule", rules.title, rules.position,
        -- A violation stands whatever the rest says; anything else is a word about all of the document only if all of it was answered.
        CASE
            WHEN merged.rank = 0 THEN 'violated'
            WHEN documents.state = 'skipped' THEN 'unread'
            WHEN documents.state <> 'read' THEN documents.state
            WHEN merged.rank IN (1, 3) THEN 'unverified'
            ELSE coalesce(merged.verdict, 'incomplete')
        END AS verdict,
        merged.passage, merged.anchor, merged.page, merged.start_line, merged.end_line, merged.confidence, merged.threshold, merged.explanation,
        merged.verdict AS claimed, documents.model, merged.collected_at, documents.cell, merged.custom_id
    FROM documents JOIN policy_rules AS rules USING (cell)
    LEFT JOIN merged ON merged.cell = documents.cell AND merged.document = documents.document AND merged."rule" = rules."rule"
    -- What is no document at all has no verdicts.
    WHERE NOT (documents.state = 'skipped' AND split_part(documents.reason, ':', 1) IN ('not_document', 'excluded', 'symlink', 'submodule'))
)
SELECT document_set, document, "rule", title, verdict,
    CASE
        WHEN verdict = 'waiting' THEN 'none'
        WHEN verdict IN ('unverified', 'unclear', 'incomplete', 'unread') OR confidence < threshold THEN 'human'
        WHEN verdict IN ('violated', 'not_found') THEN 'owner'
        ELSE 'none'
    END AS route,
    passage, page, start_line, end_line, anchor, round(confidence, 2) AS confidence, explanation, claimed, position, model,
    collected_at AS answered_at, cell, custom_id
FROM judged;
COMMENT ON VIEW document_verdicts IS 'One row per document and rule of its set''s newest audit: violated, met, unclear, not_found or not_applicable; unverified (the quoted passage does not stand in the document; claimed says what was claimed), incomplete (a part of the document got no answer), unread (see documents) or waiting. passage with page and line; route: owner, human or none.';

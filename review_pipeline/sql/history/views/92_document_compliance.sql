-- One row per document: how it stands against its policy.
CREATE OR REPLACE VIEW document_compliance AS
WITH counted AS (
    SELECT document_set, document, count(*) AS rules,
        count(*) FILTER (verdict = 'met') AS met,
        count(*) FILTER (verdict = 'violated') AS violated,
        count(*) FILTER (verdict = 'not_found') AS not_found,
        count(*) FILTER (verdict = 'unclear') AS unclear,
        count(*) FILTER (verdict = 'unverified') AS unverified,
        count(*) FILTER (verdict = 'not_applicable') AS not_applicable,
        count(*) FILTER (verdict IN ('incomplete', 'unread', 'waiting')) AS unread,
        count(*) FILTER (route = 'human') AS for_human
    FROM document_verdicts GROUP BY ALL
)
SELECT document_set, document,
    CASE
        WHEN documents.state <> 'read' THEN documents.state
        WHEN violated > 0 THEN 'violations'
        WHEN for_human + not_found + unread > 0 OR documents.reason IS NOT NULL THEN 'needs_review'
        ELSE 'compliant'
    END AS state,
    documents.reason, rules, met, violated, not_found, unclear, unverified, not_applicable, unread, for_human, documents.audit_date, documents.cell
FROM documents JOIN counted USING (document_set, document);
COMMENT ON VIEW document_compliance IS 'One row per document and the one state it is in: compliant (every rule is met or not applicable, and sure enough), violations, needs_review (unclear, not found, unverified, not sure, or pages without text), incomplete, waiting or skipped; with its rules by verdict.';

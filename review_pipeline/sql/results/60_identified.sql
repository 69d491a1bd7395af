-- Every finding with its place and its identity.
CREATE VIEW identified AS
WITH placed AS (
    -- A line that was found again speaks for itself: whoever quotes a piece of it, or more, means the same finding.
    SELECT found.custom_id, path, blob, found.category, severity, confidence, issue, suggestion,
        coalesce(looks.shown, found.evidence) AS evidence, coalesce(looks.code, found.code) AS code, cost_usd, family,
        CASE WHEN is_exact THEN 'exact' WHEN looks.line IS NOT NULL THEN 'moved' ELSE 'unanchored' END AS anchor,
        CASE WHEN is_exact THEN found.line ELSE looks.line END AS start_line,
        CASE WHEN is_exact THEN greatest(found.line, least(end_line, last_shown)) ELSE looks.line END AS end_line,
        CASE WHEN is_exact THEN found.occurrence ELSE coalesce(looks.occurrence, 0) END AS occurrence
    FROM found JOIN families USING (category)
    LEFT JOIN second_looks AS looks
        ON NOT is_exact AND looks.custom_id = found.custom_id AND looks.label = found.label AND looks.evidence = found.evidence
)
SELECT md5(concat_ws(chr(31), getvariable('repo'), path, family, code, occurrence))::UUID AS fingerprint,
    placed.* EXCLUDE (code, family, occurrence)
FROM placed;

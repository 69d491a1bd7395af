-- Every finding of an answer that counts, with its place and its identity.
CREATE VIEW identified AS
WITH placed AS (
    -- A line that was found again speaks for itself: whoever quotes a piece of it, or more, means the same finding.
    SELECT claims.custom_id, manifest.path, manifest.blob, claims.category, claims.cwe, severity, confidence, issue, suggestion,
        coalesce(looks.shown, evidence) AS evidence, coalesce(looks.code, code_of(evidence)) AS code, family,
        (outcomes.cost_usd / outcomes.claims)::DECIMAL(18, 9) AS cost_usd,
        CASE WHEN is_exact THEN 'exact' WHEN looks.line IS NOT NULL THEN 'moved' ELSE 'unanchored' END AS anchor,
        CASE WHEN is_exact THEN claims.line ELSE looks.line END AS start_line,
        CASE WHEN is_exact THEN greatest(claims.line, least(claims.end_line, manifest.end_line)) ELSE looks.line END AS end_line,
        CASE WHEN is_exact THEN claims.occurrence ELSE coalesce(looks.occurrence, 0) END AS occurrence
    FROM claims JOIN outcomes USING (custom_id) JOIN manifest USING (custom_id) JOIN families USING (category)
    -- Equalities alone: with a bare "NOT is_exact" beside them DuckDB compares every claim with every look.
    LEFT JOIN second_looks AS looks ON looks.custom_id = CASE WHEN is_exact THEN NULL ELSE claims.custom_id END AND looks.nth = claims.nth
    WHERE outcomes.class = 'ok' AND outcomes.claims > 0
)
SELECT md5(concat_ws(chr(31), getvariable('repo'), path, family, code, occurrence))::UUID AS fingerprint,
    placed.* EXCLUDE (code, family, occurrence)
FROM placed;

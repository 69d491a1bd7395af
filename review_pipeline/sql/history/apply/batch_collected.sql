-- Findings of a batch that was recorded, merged by fingerprint, and findings whose code is gone.
-- Newer versions of files, of which this batch brought the last answer that was missing. (Before `seen`, which needs the memory.)
CREATE OR REPLACE TEMP TABLE versions AS
WITH newer_versions AS (SELECT custom_id AS root, path, blob, line_keys FROM requests WHERE line_keys IS NOT NULL),
touched AS (
    SELECT DISTINCT root FROM requests SEMI JOIN newer_versions USING (root)
    WHERE custom_id IN (SELECT custom_id FROM read_parquet($outcomes) WHERE class = 'ok')
),
reviewed AS (
    SELECT leaf.root FROM requests AS leaf SEMI JOIN touched USING (root) LEFT JOIN outcomes ON outcomes.custom_id = leaf.custom_id
    WHERE NOT EXISTS (FROM requests AS newer WHERE newer.parent = leaf.custom_id)
    GROUP BY leaf.root HAVING bool_and(coalesce(outcomes.class = 'ok', false))
)
SELECT path, blob, line_keys FROM newer_versions SEMI JOIN reviewed USING (root);

SET VARIABLE findings = $findings;

-- What was collected by earlier versions knows no weaknesses.
CREATE OR REPLACE TEMP VIEW found AS
FROM read_parquet(getvariable('findings')) UNION ALL BY NAME (SELECT NULL::VARCHAR AS cwe LIMIT 0);

-- Several claims about one line and one kind of fault: the worst one speaks, the words of all are kept. Few; the rest is never held in a table.
CREATE OR REPLACE TEMP TABLE merged AS
SELECT * EXCLUDE (worst), worst.* FROM (
    SELECT fingerprint, any_value(path) AS path, any_value(blob) AS blob, min(custom_id) AS custom_id,
        string_agg(DISTINCT issue, ' ' ORDER BY issue) AS issue, string_agg(DISTINCT suggestion, ' ' ORDER BY suggestion) AS suggestion,
        any_value(evidence) AS evidence, sum(cost_usd)::DECIMAL(18, 9) AS cost_usd,
        arg_min({category: category, cwe: cwe, severity: severity, confidence: confidence, anchor: anchor, start_line: start_line, end_line: end_line},
            CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 2 ELSE 4 END - confidence) AS worst
    FROM found
    SEMI JOIN (SELECT fingerprint FROM found GROUP BY fingerprint HAVING count(*) > 1) USING (fingerprint)
    GROUP BY fingerprint
);

CREATE OR REPLACE TEMP VIEW incoming AS
WITH unlike AS (
    SELECT fingerprint, path, blob, custom_id, category, cwe, severity, confidence, issue, suggestion, evidence, anchor, start_line, end_line, cost_usd
    FROM found ANTI JOIN merged USING (fingerprint)
    UNION ALL BY NAME
    FROM merged
)
SELECT unlike.*, CASE WHEN confidence >= threshold THEN 'developer' ELSE 'human' END AS route FROM unlike LEFT JOIN thresholds USING (category);

-- What the history knows already.
CREATE OR REPLACE TEMP TABLE seen AS
SELECT incoming.*,
    -- Results of an older day may come late: they are counted, and do not overwrite what a newer day said (that it was fixed, too).
    coalesce(newest.event_date <= $audit_date, true) AS is_newest,
    CASE WHEN findings.status IN ('fixed', 'not_verifiable') AND is_newest THEN 'reopened' ELSE 'seen' END AS event
FROM incoming JOIN findings USING (fingerprint)
LEFT JOIN (SELECT fingerprint, max(event_date) AS event_date FROM finding_events GROUP BY fingerprint) AS newest USING (fingerprint);

INSERT INTO finding_events
SELECT fingerprint, coalesce(seen.event, 'opened'), NULL, $cell, incoming.custom_id, $audit_date, $collected_at
FROM incoming LEFT JOIN (SELECT fingerprint, event FROM seen) AS seen USING (fingerprint);

INSERT INTO findings
SELECT fingerprint, $repo, path, start_line, end_line, 'RIGHT', category, severity, confidence, issue, suggestion, evidence, anchor, $workload,
    'audit', $model, $prompt_version, cost_usd, 'open', NULL, $collected_at, route, 'none', blob, $cell, $cell, custom_id, $collected_at, $collected_at, cwe
FROM incoming ANTI JOIN seen USING (fingerprint);

UPDATE findings SET start_line = seen.start_line, end_line = seen.end_line, category = seen.category, severity = seen.severity, cwe = coalesce(seen.cwe, findings.cwe),
    confidence = seen.confidence, issue = seen.issue, suggestion = seen.suggestion, evidence = seen.evidence, anchor = seen.anchor,
    model = $model, prompt_version = $prompt_version, cost_usd = findings.cost_usd + seen.cost_usd, route = seen.route, blob = seen.blob,
    last_cell = $cell, last_custom_id = seen.custom_id, last_seen_at = $collected_at,
    status = CASE WHEN seen.event = 'reopened' THEN 'open' ELSE findings.status END,
    status_reason = CASE WHEN seen.event = 'reopened' THEN 'found again' ELSE findings.status_reason END,
    status_at = CASE WHEN seen.event = 'reopened' THEN $collected_at ELSE findings.status_at END
FROM seen WHERE seen.is_newest AND findings.fingerprint = seen.fingerprint;

UPDATE findings SET cost_usd = findings.cost_usd + seen.cost_usd FROM seen WHERE NOT seen.is_newest AND findings.fingerprint = seen.fingerprint;

-- Absence is not a fix. A finding ends only where a whole newer version of its file was reviewed and its code is no longer there.
CREATE OR REPLACE TEMP TABLE ended AS
SELECT findings.fingerprint,
    CASE WHEN findings.anchor = 'unanchored' THEN 'not_verifiable' ELSE 'fixed' END AS event,
    CASE WHEN findings.anchor = 'unanchored' THEN 'the file changed and the finding had no verified line'
        ELSE 'the code it was about is no longer in the file' END AS reason
FROM findings JOIN versions ON versions.path = findings.path
WHERE findings.repo = $repo AND findings.workload = $workload AND findings.status = 'open' AND findings.blob <> versions.blob
    AND split_part(findings.last_cell, '|', -1) <= $audit_date::VARCHAR
    AND (findings.anchor = 'unanchored' OR NOT list_contains(versions.line_keys,
        md5_number_upper(trim(regexp_replace(findings.evidence, '[ \t\n\r\f\v]+', ' ', 'g'), ' '))));

INSERT INTO finding_events SELECT fingerprint, event, reason, $cell, NULL, $audit_date, $collected_at FROM ended;

UPDATE findings SET status = ended.event, status_reason = ended.reason, status_at = $collected_at
FROM ended WHERE findings.fingerprint = ended.fingerprint;

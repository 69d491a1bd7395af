-- A review of a change ended: its files, its calls, and what it says of each finding. One that was gone on with replaces its earlier end.
DELETE FROM reviews WHERE review = $review;
DELETE FROM review_files WHERE review = $review;
DELETE FROM review_calls WHERE review = $review;

INSERT INTO reviews VALUES ($review, $repo, $number, $base_ref, $head_ref, $head, $merge_base, $model, $authored_by_claude, $author_sessions, $state, $summary,
    $planned_at, $finished_at);

INSERT INTO review_files
SELECT $review, unnest(from_json($changed_files, '[{"path":"VARCHAR","state":"VARCHAR","reason":"VARCHAR","added":"INTEGER","removed":"INTEGER"}]'), recursive := true);

INSERT INTO review_calls
SELECT session_id, $review, pass, unit, state, mishap, version, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
    cost_usd::DECIMAL(18, 9), turns, asked_at::TIMESTAMPTZ AT TIME ZONE 'UTC', ended_at::TIMESTAMPTZ AT TIME ZONE 'UTC', batch_id
FROM (SELECT unnest(from_json($calls, '[{"session_id":"VARCHAR","pass":"VARCHAR","unit":"VARCHAR","state":"VARCHAR","mishap":"VARCHAR","version":"VARCHAR","model":"VARCHAR","input_tokens":"BIGINT","output_tokens":"BIGINT","cache_read_tokens":"BIGINT","cache_write_tokens":"BIGINT","cost_usd":"VARCHAR","batch_id":"VARCHAR","turns":"INTEGER","asked_at":"VARCHAR","ended_at":"VARCHAR"}]'), recursive := true));

CREATE OR REPLACE TEMP TABLE said AS
SELECT * FROM (SELECT unnest(from_json($told, '[{"fingerprint":"UUID","event":"VARCHAR","path":"VARCHAR","start_line":"INTEGER","end_line":"INTEGER","side":"VARCHAR","category":"VARCHAR","severity":"VARCHAR","confidence":"DOUBLE","issue":"VARCHAR","suggestion":"VARCHAR","evidence":"VARCHAR","anchor":"VARCHAR","pass":"VARCHAR","status":"VARCHAR","status_reason":"VARCHAR","route":"VARCHAR","delivery":"VARCHAR","blob":"VARCHAR","cost_usd":"VARCHAR"}]'), recursive := true));

INSERT INTO finding_events SELECT fingerprint, event, status_reason, $cell, NULL, $audit_date, $finished_at FROM said;

INSERT INTO findings
SELECT fingerprint, $repo, path, start_line, end_line, side, category, severity, confidence, issue, suggestion, evidence, anchor, $workload,
    pass, $model, $prompt_version, cost_usd::DECIMAL(18, 9), status, status_reason, $finished_at, route, delivery, blob, $cell, $cell, $review,
    $finished_at, $finished_at, NULL
FROM said ANTI JOIN findings USING (fingerprint);

UPDATE findings SET path = said.path, start_line = said.start_line, end_line = said.end_line, category = said.category, severity = said.severity,
    confidence = said.confidence, issue = said.issue, suggestion = said.suggestion, evidence = said.evidence, anchor = said.anchor,
    route = said.route, delivery = said.delivery, blob = said.blob, last_cell = $cell, last_custom_id = $review, last_seen_at = $finished_at,
    cost_usd = findings.cost_usd + said.cost_usd::DECIMAL(18, 9),
    status_at = CASE WHEN findings.status <> said.status THEN $finished_at ELSE findings.status_at END,
    status_reason = said.status_reason, status = said.status
FROM said WHERE findings.fingerprint = said.fingerprint AND findings.last_seen_at < $finished_at;

-- A cell was planned: its files with what was decided, its requests, and the end of findings whose file is gone.
INSERT INTO cells VALUES ($cell, $audit, $audit_date, $workload, $repo, $revision, $model, $prompt_version, $planned_at, $deadline_at);

INSERT INTO files
SELECT $cell, path, blob, bytes, language, plan, reason
FROM read_json($files, format = 'newline_delimited', columns = {
    path: 'VARCHAR', blob: 'VARCHAR', bytes: 'BIGINT', language: 'VARCHAR', plan: 'VARCHAR', reason: 'VARCHAR'})
WHERE plan <> 'removed';

CREATE OR REPLACE TEMP TABLE ended AS
SELECT findings.fingerprint, 'the file was removed' AS reason
FROM findings JOIN read_json($files, format = 'newline_delimited', columns = {path: 'VARCHAR', plan: 'VARCHAR'}) AS files USING (path)
WHERE files.plan = 'removed' AND findings.repo = $repo AND findings.status IN ('open', 'not_verifiable');

INSERT INTO finding_events SELECT fingerprint, 'fixed', reason, $cell, NULL, $audit_date, $planned_at FROM ended;

UPDATE findings SET status = 'fixed', status_reason = ended.reason, status_at = $planned_at
FROM ended WHERE findings.fingerprint = ended.fingerprint;

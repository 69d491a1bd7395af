-- A human accepted or dismissed a finding.
INSERT INTO finding_events SELECT $fingerprint::UUID, $event, $reason, $cell, NULL, $audit_date, $triaged_at;

UPDATE findings SET status = $status, status_reason = $reason, status_at = $triaged_at, route = $route WHERE fingerprint = $fingerprint::UUID;

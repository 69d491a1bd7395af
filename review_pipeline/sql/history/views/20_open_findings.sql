-- One row per finding that is still open, worst first.
CREATE OR REPLACE VIEW open_findings AS
SELECT repo, path, start_line, end_line, category, severity, confidence, issue, suggestion, evidence, anchor, route,
    workload, model, first_seen_at, last_seen_at, fingerprint
FROM findings
WHERE status = 'open'
ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, confidence DESC, repo, path, start_line;
COMMENT ON VIEW open_findings IS 'One row per finding that is still open, critical first, then by confidence.';

-- Open findings of the security audits by kind of weakness.
CREATE OR REPLACE VIEW weaknesses AS
SELECT cwe, repo, count(*) AS open, count(*) FILTER (severity = 'critical') AS critical, count(DISTINCT path) AS files,
    min(first_seen_at) AS first_seen_at, arg_min(path || coalesce(':' || start_line, ''), (severity <> 'critical', -confidence)) AS worst_place
FROM findings WHERE status = 'open' AND cwe IS NOT NULL
GROUP BY ALL ORDER BY critical DESC, open DESC, cwe;
COMMENT ON VIEW weaknesses IS 'One row per kind of weakness (CWE) and repository: open findings, critical ones, files, and the worst place. Filled by weekly_security_audit.';

-- One row per file and Monday week: the last word of that week's audits about it. 'unchanged' says nothing new, so an earlier word of the same week stands.
CREATE OR REPLACE VIEW file_weeks AS
SELECT date_trunc('week', coverage.audit_date)::DATE AS week, coverage.workload, coverage.repo, coverage.path, coverage.language, coverage.bytes,
    coverage.state, coverage.reason, coverage.audit_date, coverage.cell
FROM coverage JOIN cells USING (cell)
WHERE coverage.workload <> 'pull_request_backlog' -- whose rows are parts of pull requests
QUALIFY row_number() OVER (
    PARTITION BY date_trunc('week', coverage.audit_date), coverage.workload, coverage.repo, coverage.path
    ORDER BY coverage.state NOT IN ('unchanged', 'in_flight') DESC, coverage.audit_date DESC, cells.planned_at DESC, coverage.cell DESC
) = 1;
COMMENT ON VIEW file_weeks IS 'One row per file (of a workload and repository) and Monday week: the state in which the week''s audits left it, so that every file counts once however often it was looked at.';

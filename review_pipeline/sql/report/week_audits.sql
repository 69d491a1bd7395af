-- One row per audit of the week: what was read and what became of its files.
SELECT cells.audit_date, cells.audit, cells.repo, cells.workload, left(cells.revision, 12) AS revision, cells.model, cells.prompt_version,
    count(coverage.path) AS files,
    count(*) FILTER (coverage.state = 'reviewed') AS reviewed,
    count(*) FILTER (coverage.state = 'partly_reviewed') AS partly_reviewed,
    count(*) FILTER (coverage.state = 'failed') AS failed,
    count(*) FILTER (coverage.state = 'waiting') AS waiting,
    count(*) FILTER (coverage.state = 'unchanged') AS unchanged,
    count(*) FILTER (coverage.state = 'in_flight') AS in_flight,
    count(*) FILTER (coverage.state = 'skipped') AS skipped
FROM cells LEFT JOIN coverage USING (cell)
WHERE cells.audit_date BETWEEN $week::DATE AND $week::DATE + 6
GROUP BY cells.cell, cells.audit_date, cells.audit, cells.repo, cells.workload, cells.revision, cells.model, cells.prompt_version
ORDER BY cells.audit_date DESC, cells.audit;

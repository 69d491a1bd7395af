-- One row per file of an audit: the one state it ended in (or waits in), and why.
CREATE OR REPLACE VIEW coverage AS
WITH leaves AS (
    SELECT requests.cell, requests.path, requests.custom_id, outcomes.class, outcomes.error_message
    FROM requests LEFT JOIN outcomes USING (custom_id)
    WHERE NOT EXISTS (FROM requests AS newer WHERE newer.parent = requests.custom_id)
),
per_file AS (
    SELECT cell, path,
        count(*) AS leaves,
        count(*) FILTER (class = 'ok') AS answered,
        count(*) FILTER (class IS NULL) AS waiting,
        min(class) FILTER (class <> 'ok') AS failure,
        min(error_message) FILTER (class <> 'ok') AS failure_message
    FROM leaves GROUP BY cell, path
)
SELECT files.cell, cells.audit, cells.audit_date, cells.workload, cells.repo, files.path, files.language, files.bytes,
    CASE
        WHEN files.plan <> 'submitted' THEN files.plan
        WHEN per_file.waiting IS NULL OR per_file.waiting > 0 THEN 'waiting'
        WHEN per_file.answered = per_file.leaves THEN 'reviewed'
        WHEN per_file.answered > 0 THEN 'partly_reviewed'
        ELSE 'failed'
    END AS state,
    CASE
        WHEN files.plan <> 'submitted' THEN files.reason
        WHEN per_file.failure IS NOT NULL THEN per_file.failure || coalesce(': ' || per_file.failure_message, '')
    END AS reason
FROM files JOIN cells USING (cell) LEFT JOIN per_file USING (cell, path);
COMMENT ON VIEW coverage IS 'One row per file of an audit and the one state it is in: reviewed, partly_reviewed, failed, waiting, unchanged (an earlier answer stands), in_flight (another audit is asking) or skipped with its reason.';

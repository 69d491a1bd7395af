-- The files that this week's audits could not answer for (failed, partly reviewed, given up, waiting), with the size of the whole list.
SELECT repo, path, CASE WHEN state = 'skipped' THEN 'given_up' ELSE state END AS state, coalesce(reason, '') AS reason, audit_date, count(*) OVER () AS total
FROM file_weeks
WHERE week = $week::DATE AND (state IN ('failed', 'partly_reviewed', 'waiting', 'in_flight') OR (state = 'skipped' AND starts_with(reason, 'given_up')))
ORDER BY CASE state WHEN 'failed' THEN 0 WHEN 'partly_reviewed' THEN 1 WHEN 'skipped' THEN 2 ELSE 3 END, repo, path
LIMIT $most;

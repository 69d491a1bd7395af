-- One row per class of failure and what was done: requests of this week's audits that did not end ok.
SELECT failures.class AS name, CASE failures.action WHEN 'given up' THEN 'not sent again' ELSE failures.action END AS action,
    count(*) AS requests, count(DISTINCT (failures.repo, failures.path)) AS files, count(*) FILTER (failures.billed) AS billed,
    sum(failures.cost_usd)::VARCHAR AS cost_usd, coalesce(min(failures.error_message), min(failures.stop_reason), '') AS example
FROM failures JOIN cells USING (cell)
WHERE cells.audit_date BETWEEN $week::DATE AND $week::DATE + 6
GROUP BY ALL ORDER BY requests DESC, failures.class, action;

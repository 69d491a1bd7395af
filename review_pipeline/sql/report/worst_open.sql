-- The findings to look at first.
SELECT severity, round(confidence, 2) AS confidence, repo || ': ' || path || coalesce(':' || start_line, '') AS place, category, left(issue, 160) AS issue
FROM open_findings LIMIT 15;

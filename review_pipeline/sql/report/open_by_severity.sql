-- One row per category: open findings by severity.
SELECT category, count(*) FILTER (severity = 'critical') AS critical, count(*) FILTER (severity = 'warning') AS warning,
    count(*) FILTER (severity = 'info') AS info, count(*) AS total
FROM open_findings GROUP BY category ORDER BY total DESC, category;

-- The files with the most open findings at the end of the week, critical ones first; versions: contents audited within twelve weeks.
WITH standing AS (
    SELECT repo, path,
        count(*) FILTER (severity = 'critical') AS critical,
        count(*) FILTER (severity = 'warning') AS warning,
        count(*) FILTER (severity NOT IN ('critical', 'warning')) AS info,
        count(*) AS open_at_end
    FROM open_spells WHERE opened_on <= $week::DATE + 6 AND (closed_on IS NULL OR closed_on > $week::DATE + 6)
    GROUP BY ALL
),
hottest AS (
    SELECT *, count(*) OVER () AS total FROM standing ORDER BY critical DESC, warning DESC, open_at_end DESC, repo, path LIMIT $most
),
versions AS (
    SELECT cells.repo, files.path, count(DISTINCT files.blob) AS versions
    FROM files JOIN cells USING (cell) SEMI JOIN hottest ON hottest.repo = cells.repo AND hottest.path = files.path
    WHERE cells.audit_date BETWEEN $week::DATE - 77 AND $week::DATE + 6 GROUP BY ALL
),
happened AS (
    SELECT findings.repo, findings.path,
        count(*) FILTER (events.event IN ('opened', 'reopened')) AS opened,
        count(*) FILTER (events.event = 'fixed') AS fixed
    FROM finding_events AS events JOIN findings USING (fingerprint)
    WHERE events.event_date BETWEEN $week::DATE AND $week::DATE + 6 GROUP BY ALL
)
SELECT hottest.repo, hottest.path, critical, warning, info, open_at_end, coalesce(opened, 0) AS opened, coalesce(fixed, 0) AS fixed,
    coalesce(versions, 0) AS versions, total
FROM hottest LEFT JOIN versions USING (repo, path) LEFT JOIN happened USING (repo, path)
ORDER BY critical DESC, warning DESC, open_at_end DESC, repo, path;

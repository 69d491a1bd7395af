-- One row per Monday week (up to twelve), category and severity: what happened in it, and what was open at its end.
WITH weeks AS (
    SELECT unnest(generate_series(
        greatest($week::DATE - 77, least($week::DATE, (SELECT date_trunc('week', min(audit_date))::DATE FROM cells))),
        $week::DATE, INTERVAL 7 DAY))::DATE AS week
),
happened AS (
    SELECT date_trunc('week', events.event_date)::DATE AS week, findings.category, findings.severity,
        count(*) FILTER (events.event = 'opened') AS opened,
        count(*) FILTER (events.event = 'reopened') AS reopened,
        count(*) FILTER (events.event = 'fixed') AS fixed,
        count(*) FILTER (events.event = 'dismissed') AS dismissed,
        count(*) FILTER (events.event = 'not_verifiable') AS not_verifiable
    FROM finding_events AS events JOIN findings USING (fingerprint)
    WHERE events.event_date BETWEEN $week::DATE - 77 AND $week::DATE + 6
    GROUP BY ALL
),
standing AS (
    SELECT weeks.week, spells.category, spells.severity, count(*) AS open_at_end
    FROM weeks JOIN open_spells AS spells
        ON spells.opened_on <= weeks.week + 6 AND (spells.closed_on IS NULL OR spells.closed_on > weeks.week + 6)
    GROUP BY ALL
)
SELECT weeks.week, coalesce(category, '') AS category, coalesce(severity, '') AS severity, coalesce(opened, 0) AS opened,
    coalesce(reopened, 0) AS reopened, coalesce(fixed, 0) AS fixed, coalesce(dismissed, 0) AS dismissed,
    coalesce(not_verifiable, 0) AS not_verifiable, coalesce(open_at_end, 0) AS open_at_end
FROM weeks LEFT JOIN (happened FULL JOIN standing USING (week, category, severity)) AS counted USING (week)
ORDER BY ALL;

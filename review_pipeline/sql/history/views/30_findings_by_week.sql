-- One row per Monday week, repository, category and severity: how many findings appeared, were fixed, came back.
CREATE OR REPLACE VIEW findings_by_week AS
SELECT date_trunc('week', events.event_date)::DATE AS week, findings.repo, findings.category, findings.severity,
    count(*) FILTER (events.event = 'opened') AS opened,
    count(*) FILTER (events.event = 'fixed') AS fixed,
    count(*) FILTER (events.event = 'reopened') AS reopened,
    count(*) FILTER (events.event = 'dismissed') AS dismissed,
    count(DISTINCT events.fingerprint) FILTER (events.event IN ('opened', 'seen', 'reopened')) AS seen
FROM finding_events AS events JOIN findings USING (fingerprint)
GROUP BY ALL;
COMMENT ON VIEW findings_by_week IS 'One row per Monday week, repository, category and severity: findings opened, fixed, reopened, dismissed, and seen at least once.';

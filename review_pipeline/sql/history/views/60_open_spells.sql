-- One row per time in which a finding was open: from the day of the audit that saw it to the day that ended it.
CREATE OR REPLACE VIEW open_spells AS
WITH turns AS (
    SELECT fingerprint, event, event_date, event_at, event IN ('opened', 'reopened') AS is_open,
        lag(event IN ('opened', 'reopened'), 1, false) OVER (PARTITION BY fingerprint ORDER BY event_date, event_at, event) AS was_open
    FROM finding_events WHERE event <> 'seen'
),
changes AS (
    SELECT fingerprint, is_open, event_date AS opened_on,
        lead(event_date) OVER finding AS closed_on,
        lead(event) OVER finding AS ended_as
    FROM turns WHERE is_open <> was_open
    WINDOW finding AS (PARTITION BY fingerprint ORDER BY event_date, event_at, event)
)
SELECT changes.opened_on, changes.closed_on, changes.ended_as,
    row_number() OVER (PARTITION BY changes.fingerprint ORDER BY changes.opened_on) AS spell, findings.repo, findings.path, findings.category, findings.severity, changes.fingerprint
FROM changes JOIN findings USING (fingerprint)
WHERE changes.is_open;
COMMENT ON VIEW open_spells IS 'One row per time in which a finding was open. Open at the end of a day: opened_on <= day AND (closed_on IS NULL OR closed_on > day). ended_as: fixed, dismissed or not_verifiable. spell: 1 is the first time, more is a finding that came back.';

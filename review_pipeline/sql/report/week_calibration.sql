-- One row per bucket of confidence: what became, by the end of the week, of findings that somebody acted on. A removed file proves nothing.
WITH ends AS (
    SELECT findings.fingerprint, findings.confidence, arg_max(events.event, (events.event_date, events.event_at)) AS event,
        arg_max(coalesce(events.reason, ''), (events.event_date, events.event_at)) AS reason
    FROM findings JOIN finding_events AS events USING (fingerprint)
    WHERE events.event <> 'seen' AND events.event_date <= $week::DATE + 6
    GROUP BY ALL
)
SELECT CASE WHEN confidence >= 0.9 THEN '0.9 to 1.0' WHEN confidence >= 0.8 THEN '0.8 to 0.9' WHEN confidence >= 0.7 THEN '0.7 to 0.8'
        WHEN confidence >= 0.5 THEN '0.5 to 0.7' ELSE 'below 0.5' END AS bucket,
    count(*) FILTER (event = 'fixed' AND reason <> 'the file was removed') AS fixed,
    count(*) FILTER (event = 'dismissed') AS dismissed,
    count(*) FILTER (event IN ('opened', 'reopened')) AS still_open
FROM ends GROUP BY ALL ORDER BY min(confidence) DESC;

-- One row per request that did not end ok, with what was done about it.
CREATE OR REPLACE VIEW failures AS
SELECT requests.cell, requests.repo, requests.path, requests.start_line, requests.end_line, requests.round, requests.attempt,
    outcomes.class, outcomes.stop_reason, outcomes.error_type, outcomes.error_message, outcomes.billed, outcomes.cost_usd,
    count(newer.custom_id) AS replacements,
    CASE WHEN count(newer.custom_id) = 0 THEN 'given up' ELSE 'sent again: ' || min(newer.change) END AS action,
    outcomes.batch_id, requests.custom_id, outcomes.collected_at
FROM requests JOIN outcomes USING (custom_id) LEFT JOIN requests AS newer ON newer.parent = requests.custom_id
WHERE outcomes.class <> 'ok'
GROUP BY ALL;
COMMENT ON VIEW failures IS 'One row per request that did not end ok: its class, the API''s words, and whether it was sent again and how.';

-- One row per audit: when its findings were due, when the last of them came, and what it cost to be in time.
CREATE OR REPLACE VIEW deadlines AS
WITH waiting AS (
    SELECT cell, count(*) AS requests FROM requests LEFT JOIN outcomes USING (custom_id) WHERE outcomes.custom_id IS NULL GROUP BY cell
),
came AS (SELECT cell, max(collected_at) AS answered_at, sum(surcharge_usd) AS surcharge_usd, sum(canceled) AS cut_requests FROM batches GROUP BY cell)
SELECT cells.cell, cells.workload, cells.planned_at, cells.deadline_at, came.answered_at, coalesce(waiting.requests, 0) AS waiting_requests,
    CASE WHEN cells.deadline_at IS NULL THEN NULL WHEN waiting_requests > 0 THEN NULL ELSE came.answered_at <= cells.deadline_at END AS is_met,
    came.cut_requests, came.surcharge_usd
FROM cells JOIN came USING (cell) LEFT JOIN waiting USING (cell);
COMMENT ON VIEW deadlines IS 'One row per audit that sent anything: when its findings were due, when the last of them came, whether that was in time (NULL while requests wait), requests that were cut from a batch to be in time, and the surcharge of asking them one by one.';

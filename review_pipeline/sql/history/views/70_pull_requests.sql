-- One row per branch or pull request: its last review, what is open, and what its reviews cost.
CREATE OR REPLACE VIEW pull_requests AS
WITH latest AS (SELECT * FROM reviews QUALIFY row_number() OVER (PARTITION BY repo, number ORDER BY finished_at DESC) = 1),
costs AS (
    SELECT repo, number, sum(calls.cost_usd) AS cost_usd, coalesce(sum(outcomes.cost_usd), 0) AS batch_usd, count(*) AS calls
    FROM review_calls AS calls JOIN reviews USING (review)
    LEFT JOIN outcomes ON outcomes.custom_id = calls.session_id AND outcomes.batch_id = calls.batch_id
    GROUP BY ALL
)
SELECT latest.repo, latest.number, latest.base_ref, latest.head, latest.state, latest.finished_at AS reviewed_at, count(files.path) FILTER (files.state = 'reviewed') AS files_reviewed,
    count(files.path) AS files_changed, any_value(costs.calls) AS calls, any_value(costs.cost_usd) AS cost_usd, latest.summary,
    any_value(costs.batch_usd) AS batch_usd
FROM latest LEFT JOIN review_files AS files USING (review) LEFT JOIN costs ON costs.repo = latest.repo AND costs.number = latest.number
GROUP BY ALL ORDER BY reviewed_at DESC;
COMMENT ON VIEW pull_requests IS 'One row per branch or pull request: its last review, how much of it was reviewed, and what all its reviews cost: cost_usd for calls of their own, batch_usd for those that batches answered overnight, which batch_costs counts, too.';

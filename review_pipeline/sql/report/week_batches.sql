-- The batches of this week's audits, the newest first, with the number of all of them.
SELECT batch_costs.batch_id, cells.audit, cells.audit_date, batch_costs.round, batch_costs.model, batch_costs.requests, batch_costs.succeeded,
    batch_costs.requests - batch_costs.succeeded AS failed, coalesce(epoch(batch_costs.ended_at - batch_costs.created_at), -1) AS seconds,
    batch_costs.input_tokens, batch_costs.output_tokens, batch_costs.cache_read_tokens, batch_costs.cache_write_tokens,
    batch_costs.findings,
    batch_costs.cost_usd::VARCHAR AS cost_usd, batch_costs.sync_cost_usd::VARCHAR AS sync_cost_usd,
    batch_caching.saved_usd::VARCHAR AS cache_saved_usd, 1 AS batches, count(*) OVER () AS total
FROM batch_costs JOIN batch_caching USING (batch_id) JOIN cells ON cells.cell = batch_costs.cell
WHERE cells.audit_date BETWEEN $week::DATE AND $week::DATE + 6
ORDER BY batch_costs.created_at DESC, batch_costs.batch_id
LIMIT $most;

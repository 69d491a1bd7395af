-- One row per collected batch: requests by state, tokens, what it cost and what the synchronous API would have charged.
CREATE OR REPLACE VIEW batch_costs AS
SELECT batches.batch_id, batches.cell, batches.workload, batches.round, batches.model, batches.requests, batches.succeeded,
    batches.errored, batches.canceled, batches.expired, spent.input_tokens, spent.output_tokens, spent.cache_read_tokens,
    spent.cache_write_tokens, spent.findings, spent.cost_usd, spent.sync_cost_usd,
    spent.sync_cost_usd - spent.cost_usd AS saved_usd, batches.created_at, batches.ended_at, batches.collected_at,
    batches.route, batches.surcharge_usd
FROM batches JOIN (
    SELECT batch_id,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
        sum(cache_write_5m_tokens + cache_write_1h_tokens)::BIGINT AS cache_write_tokens,
        sum(findings)::BIGINT AS findings,
        sum(cost_usd) AS cost_usd,
        sum(sync_cost_usd) AS sync_cost_usd
    FROM outcomes GROUP BY batch_id
) AS spent USING (batch_id);
COMMENT ON VIEW batch_costs IS 'One row per collected batch: requests by state, tokens, cost in USD at batch prices, the synchronous price of the same tokens, and the difference. route sync: asked one by one to keep a deadline, for surcharge_usd more than a batch.';

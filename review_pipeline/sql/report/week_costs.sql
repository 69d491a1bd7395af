-- One row per workload and model, of this week's audits and of those of the week before: requests that came back, tokens and money.
SELECT date_trunc('week', cells.audit_date)::DATE AS week, cells.workload, coalesce(outcomes.model, cells.model) AS model,
    count(DISTINCT outcomes.batch_id) AS batches, count(*) AS requests,
    sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens, sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(cache_write_5m_tokens + cache_write_1h_tokens)::BIGINT AS cache_write_tokens,
    sum(cost_usd)::VARCHAR AS cost_usd, sum(sync_cost_usd)::VARCHAR AS sync_cost_usd, sum(cache_saved_usd)::VARCHAR AS cache_saved_usd,
    string_agg(DISTINCT price_version, ', ' ORDER BY price_version) AS prices
FROM outcomes JOIN requests USING (custom_id) JOIN cells USING (cell)
WHERE cells.audit_date BETWEEN $week::DATE - 7 AND $week::DATE + 6
GROUP BY ALL ORDER BY week DESC, sum(sync_cost_usd) DESC, cells.workload, model;

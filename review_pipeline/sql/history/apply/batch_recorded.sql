-- A batch was collected, whatever it asked for: what it was, and one outcome for each of its requests.
INSERT INTO batches VALUES ($batch_id, $submission, $cell, $workload, $round, $model, $requests, $succeeded, $errored, $canceled, $expired,
    $created_at, $ended_at, $collected_at, $route, $surcharge_usd);

INSERT INTO outcomes
SELECT custom_id, $batch_id, class, billed, stop_reason, error_type, error_message, model, input_tokens, output_tokens, cache_read_tokens,
    cache_write_5m_tokens, cache_write_1h_tokens, cost_usd, sync_cost_usd, price_version, claims, $collected_at, coalesce(cache_saved_usd, 0)
FROM (
    FROM read_parquet($outcomes)
    UNION ALL BY NAME -- the column of a file that was written before there was one
    SELECT NULL::DECIMAL(18, 9) AS cache_saved_usd WHERE false
);

-- One row per collected batch: what the prompt cache did for it.
CREATE OR REPLACE VIEW batch_caching AS
SELECT batches.batch_id, batches.cell, batches.workload, batches.round, batches.model, used.answers, used.hits, used.writes,
    round(used.hits / nullif(used.hits + used.writes, 0), 3) AS hit_share,
    used.read_tokens, used.written_tokens, used.plain_tokens, used.saved_usd, batches.created_at
FROM batches JOIN (
    SELECT batch_id,
        count(*) FILTER (billed) AS answers,
        count(*) FILTER (cache_read_tokens > 0) AS hits,
        count(*) FILTER (cache_read_tokens = 0 AND cache_write_5m_tokens + cache_write_1h_tokens > 0) AS writes,
        sum(cache_read_tokens)::BIGINT AS read_tokens,
        sum(cache_write_5m_tokens + cache_write_1h_tokens)::BIGINT AS written_tokens,
        sum(input_tokens)::BIGINT AS plain_tokens,
        sum(cache_saved_usd) AS saved_usd
    FROM outcomes GROUP BY batch_id
) AS used USING (batch_id);
COMMENT ON VIEW batch_caching IS 'One row per collected batch: billed answers, those that read the shared prompt from the cache (hits) and those that only wrote it, tokens, and the saving in USD at batch prices against the plain input price of the same tokens; negative where the cache cost more than it saved.';

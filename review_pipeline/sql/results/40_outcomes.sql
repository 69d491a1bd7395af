-- One row per request that was sent: its class, tokens and cost; a request without a line is 'missing', not clean.
CREATE TABLE outcomes AS
WITH joined AS (
    SELECT manifest.custom_id, getvariable('model') AS model, coalesce(claims.type, 'missing') AS type, claims.stop_reason, claims.error_type,
        claims.error_code, claims.error_message,
        coalesce(claims.parsed, false) AND misfits.custom_id IS NULL AS fits_schema,
        coalesce(claims.input_tokens, 0) AS input_tokens,
        coalesce(claims.output_tokens, 0) AS output_tokens,
        coalesce(claims.cache_read_tokens, 0) AS cache_read_tokens,
        coalesce(claims.cache_write_5m_tokens, 0) AS cache_write_5m_tokens,
        coalesce(claims.cache_write_1h_tokens, 0) AS cache_write_1h_tokens,
        coalesce(claims.claims, 0)::INTEGER AS claims
    FROM (FROM claims WHERE nth = 1) AS claims
    RIGHT JOIN (SELECT custom_id FROM manifest) AS manifest USING (custom_id)
    LEFT JOIN misfits ON misfits.custom_id = manifest.custom_id
)
SELECT joined.* EXCLUDE (type, error_code, fits_schema), classes.class, classes.billed, prices.version AS price_version,
    (CASE WHEN classes.billed THEN input_tokens * prices.input_usd + output_tokens * prices.output_usd
        + cache_read_tokens * prices.cache_read_usd + cache_write_5m_tokens * prices.cache_write_5m_usd
        + cache_write_1h_tokens * prices.cache_write_1h_usd ELSE 0 END)::DECIMAL(18, 9) AS sync_cost_usd,
    (CASE WHEN getvariable('is_sync') THEN sync_cost_usd ELSE sync_cost_usd * prices.batch_share END)::DECIMAL(18, 9) AS cost_usd,
    (cost_usd - sync_cost_usd * prices.batch_share)::DECIMAL(18, 9) AS surcharge_usd,
    -- Against the plain input price of the same tokens in a batch: negative where writing cost more than reading saved.
    (CASE WHEN classes.billed THEN cache_read_tokens * (prices.input_usd - prices.cache_read_usd)
        + cache_write_5m_tokens * (prices.input_usd - prices.cache_write_5m_usd)
        + cache_write_1h_tokens * (prices.input_usd - prices.cache_write_1h_usd) ELSE 0 END * CASE WHEN getvariable('is_sync') THEN 1 ELSE prices.batch_share END)::DECIMAL(18, 9) AS cache_saved_usd
FROM joined
JOIN classes ON classes.type = joined.type AND classes.stop_reason IS NOT DISTINCT FROM joined.stop_reason
    AND classes.error_type IS NOT DISTINCT FROM joined.error_type AND classes.error_code IS NOT DISTINCT FROM joined.error_code
    AND classes.error_message IS NOT DISTINCT FROM joined.error_message AND classes.fits_schema = joined.fits_schema
JOIN prices ON joined.input_tokens + joined.cache_read_tokens + joined.cache_write_5m_tokens + joined.cache_write_1h_tokens
    BETWEEN prices.from_prompt_tokens AND prices.up_to_prompt_tokens;

SELECT category, model, confidence_from, sum(told)::BIGINT AS told, sum(accepted)::BIGINT AS accepted, sum(rejected)::BIGINT AS rejected,
    sum(ignored)::BIGINT AS ignored, sum(still_open)::BIGINT AS still_open
FROM acceptance GROUP BY ALL ORDER BY told DESC, category, model, confidence_from LIMIT 50;

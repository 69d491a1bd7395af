CREATE VIEW identified AS
SELECT NULL::UUID AS fingerprint, NULL::VARCHAR AS custom_id, NULL::VARCHAR AS path, NULL::VARCHAR AS blob, NULL::VARCHAR AS category,
    NULL::VARCHAR AS cwe, NULL::VARCHAR AS severity, NULL::DOUBLE AS confidence, NULL::VARCHAR AS issue, NULL::VARCHAR AS suggestion,
    NULL::VARCHAR AS evidence, NULL::DECIMAL(18, 9) AS cost_usd, NULL::VARCHAR AS anchor, NULL::INTEGER AS start_line, NULL::INTEGER AS end_line
WHERE false;

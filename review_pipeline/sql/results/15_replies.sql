-- One row per line of the download: what became of the request, and the text of its answer.
CREATE VIEW replies AS
SELECT custom_id, coalesce(result.type, '') AS type, result.message.stop_reason AS stop_reason, result.error.error.type AS error_type,
    result.error.error.message AS error_message, result.error.error.details.error_code AS error_code,
    coalesce(result.message.usage.input_tokens, 0) AS input_tokens,
    coalesce(result.message.usage.output_tokens, 0) AS output_tokens,
    coalesce(result.message.usage.cache_read_input_tokens, 0) AS cache_read_tokens,
    coalesce(result.message.usage.cache_creation.ephemeral_5m_input_tokens, result.message.usage.cache_creation_input_tokens
        - coalesce(result.message.usage.cache_creation.ephemeral_1h_input_tokens, 0), 0) AS cache_write_5m_tokens,
    coalesce(result.message.usage.cache_creation.ephemeral_1h_input_tokens, 0) AS cache_write_1h_tokens,
    CASE WHEN len(result.message.content) = 1 THEN result.message.content[1].text
        WHEN len(result.message.content) = 2 AND result.message.content[1].text IS NULL THEN result.message.content[2].text
        ELSE array_to_string(list_transform(list_filter(result.message.content, lambda block: block.type = 'text'), lambda block: block.text), '')
    END AS answer
FROM read_json(getvariable('raw'), format = 'newline_delimited', columns = {
    custom_id: 'VARCHAR',
    result: 'STRUCT(type VARCHAR,
        message STRUCT(stop_reason VARCHAR, content STRUCT(type VARCHAR, "text" VARCHAR)[],
            usage STRUCT(input_tokens BIGINT, output_tokens BIGINT, cache_read_input_tokens BIGINT, cache_creation_input_tokens BIGINT,
                cache_creation STRUCT(ephemeral_5m_input_tokens BIGINT, ephemeral_1h_input_tokens BIGINT))),
        error STRUCT(error STRUCT(type VARCHAR, message VARCHAR, details STRUCT(error_code VARCHAR))))'
});

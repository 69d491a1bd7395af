-- One row per claimed finding, and one for an answer without any (claims = 0); `parsed` tells an empty answer from an unreadable one.
-- A label that proves the quoted line is an exact anchor.
-- Flat from the start: a list column costs three times the time, and rules for its elements ten times.
CREATE TABLE claims AS
WITH lines AS (
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
    FROM read_json($raw, format = 'newline_delimited', columns = {
        custom_id: 'VARCHAR',
        result: 'STRUCT(type VARCHAR,
            message STRUCT(stop_reason VARCHAR, content STRUCT(type VARCHAR, "text" VARCHAR)[],
                usage STRUCT(input_tokens BIGINT, output_tokens BIGINT, cache_read_input_tokens BIGINT, cache_creation_input_tokens BIGINT,
                    cache_creation STRUCT(ephemeral_5m_input_tokens BIGINT, ephemeral_1h_input_tokens BIGINT))),
            error STRUCT(error STRUCT(type VARCHAR, message VARCHAR, details STRUCT(error_code VARCHAR))))'
    })
),
answers AS (
    SELECT lines.* EXCLUDE (answer), manifest.blob, manifest.repeat_lines, manifest.repeat_numbers, TRY(from_json_strict(answer, $structure)).findings AS claimed
    FROM lines JOIN manifest USING (custom_id)
),
flat AS (
    SELECT * EXCLUDE (claimed), claimed IS NOT NULL AS parsed, coalesce(len(claimed), 0) AS claims,
        generate_subscripts(CASE WHEN len(claimed) > 0 THEN claimed ELSE [NULL] END, 1) AS nth,
        unnest(CASE WHEN len(claimed) > 0 THEN claimed ELSE [NULL] END, recursive := true)
    FROM answers
)
SELECT * EXCLUDE (blob, repeat_lines, repeat_numbers), TRY_CAST(split_part(anchor, '#', 1) AS INTEGER) AS line,
    coalesce(anchor = concat(line, '#', md5(concat(blob, ':', line, ':', code_of(evidence)))[1:4]), false) AS is_exact,
    coalesce(repeat_numbers[list_position(repeat_lines, line)], 1) AS occurrence
FROM flat;

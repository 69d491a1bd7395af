-- One row per claimed finding, and one for an answer without any (claims = 0); `parsed` tells an empty answer from an unreadable one.
-- A label that proves the quoted line is an exact anchor.
-- Flat from the start: a list column costs three times the time, and rules for its elements ten times.
CREATE TABLE claims AS
WITH answers AS (
    SELECT replies.* EXCLUDE (answer), manifest.blob, manifest.repeat_lines, manifest.repeat_numbers, TRY(from_json_strict(answer, $structure)).findings AS claimed
    FROM replies JOIN manifest USING (custom_id)
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

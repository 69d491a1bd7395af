-- One row per finding of an answer that counts; a label that proves the quoted line is an exact anchor.
CREATE VIEW found AS
WITH coded AS (
    SELECT claims.custom_id, category, severity, confidence, issue, suggestion, evidence, anchor AS label, end_line,
        trim(CASE WHEN regexp_matches(trim(evidence, ' '), '[\t\n\r\f\v]|  ') THEN regexp_replace(evidence, '[ \t\n\r\f\v]+', ' ', 'g')
            ELSE evidence END, ' ') AS code,
        TRY_CAST(split_part(anchor, '#', 1) AS INTEGER) AS line,
        (outcomes.cost_usd / outcomes.claims)::DECIMAL(18, 9) AS cost_usd
    FROM claims JOIN outcomes USING (custom_id)
    WHERE outcomes.class = 'ok' AND outcomes.claims > 0
)
SELECT coded.*, manifest.path, manifest.blob,
    coalesce(coded.label = concat(coded.line, '#', md5(concat(manifest.blob, ':', coded.line, ':', coded.code))[1:4]), false) AS is_exact,
    coalesce(manifest.repeat_numbers[list_position(manifest.repeat_lines, coded.line)], 1) AS occurrence,
    manifest.end_line AS last_shown, manifest.body_offset, manifest.body_bytes, manifest.repeat_lines, manifest.repeat_numbers
FROM coded JOIN manifest USING (custom_id);

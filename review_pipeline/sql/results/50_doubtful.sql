-- Claims of answers that count whose label does not prove the quoted line, with where to look for what the request showed.
CREATE VIEW doubtful AS
SELECT claims.custom_id, claims.nth, manifest.blob, claims.anchor, claims.evidence, manifest.body_offset, manifest.body_bytes,
    manifest.repeat_lines, manifest.repeat_numbers
FROM claims JOIN outcomes USING (custom_id) JOIN manifest USING (custom_id)
WHERE NOT claims.is_exact AND outcomes.class = 'ok' AND outcomes.claims > 0
ORDER BY manifest.body_offset;

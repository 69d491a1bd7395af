-- Verdicts of answers that count and quote a passage, with where to look for what the request showed.
CREATE VIEW quoting AS
SELECT claims.custom_id, claims.nth, claims.anchor, claims.passage, manifest.body_offset, manifest.body_bytes
FROM claims JOIN outcomes USING (custom_id) JOIN manifest USING (custom_id)
WHERE outcomes.class = 'ok' AND trim(claims.passage) <> ''
ORDER BY manifest.body_offset;

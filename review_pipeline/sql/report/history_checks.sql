-- One row per rule of the history: how many rows break it.
SELECT 'anchors_are_verified_or_say_so' AS name, count(*) AS violations,
    'findings whose anchor is neither verified nor explicitly unanchored' AS meaning
FROM findings
WHERE anchor NOT IN ('exact', 'moved', 'unanchored') OR (anchor = 'unanchored') <> (start_line IS NULL) OR end_line < start_line
UNION ALL
SELECT 'fingerprints_are_unique', count(*) - count(DISTINCT fingerprint), 'rows that repeat a fingerprint' FROM findings
UNION ALL
SELECT 'every_file_is_in_one_state', (SELECT count(*) FROM files) - (SELECT count(*) FROM (SELECT DISTINCT cell, path FROM coverage WHERE state IS NOT NULL)),
    'planned files without exactly one state'
UNION ALL
SELECT 'reviewers_are_independent', (SELECT count(*) FROM review_calls SEMI JOIN (SELECT unnest(author_sessions) AS session_id FROM reviews) USING (session_id)),
    'sessions that reviewed and are named as the author of a change';

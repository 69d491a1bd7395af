-- One row per open finding that waits for a human to decide.
CREATE OR REPLACE VIEW human_queue AS
SELECT fingerprint, repo, path, start_line, severity, category, round(confidence, 2) AS confidence, issue, suggestion, evidence, workload, first_seen_at
FROM findings WHERE status = 'open' AND route = 'human' ORDER BY list_position(['critical', 'warning', 'info'], severity), first_seen_at;
COMMENT ON VIEW human_queue IS 'One row per open finding that is too doubtful for a developer: `review-pipeline triage` decides on those of reviews.';

-- Verdicts of a batch that was recorded.
INSERT INTO verdicts
SELECT custom_id, $repo, path, blob, "rule", verdict, confidence, explanation, passage, anchor, start_line, end_line, page, cost_usd,
    (SELECT threshold FROM thresholds WHERE category = $workload), $collected_at
FROM read_parquet($findings);

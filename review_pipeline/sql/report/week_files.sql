-- One row per repository, state and kind of reason: files, each counted once in the week.
SELECT repo, state, CASE WHEN state = 'skipped' THEN coalesce(split_part(reason, ':', 1), 'no reason given') ELSE '' END AS kind, count(*) AS files
FROM file_weeks WHERE week = $week::DATE GROUP BY ALL ORDER BY ALL;

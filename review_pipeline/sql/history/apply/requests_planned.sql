-- Requests were written down, before anything is sent.
INSERT INTO requests
SELECT custom_id, parent, root, $submission, $cell, $workload, $repo, path, blob, start_line, end_line, $round, attempt, change, $model,
    $prompt_version, line_keys
FROM read_json($manifest, format = 'newline_delimited', columns = {
    custom_id: 'VARCHAR', parent: 'VARCHAR', root: 'VARCHAR', path: 'VARCHAR', blob: 'VARCHAR', start_line: 'INTEGER', end_line: 'INTEGER',
    attempt: 'INTEGER', change: 'VARCHAR', line_keys: 'UBIGINT[]'});

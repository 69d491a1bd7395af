-- One row per request of this batch, as planned.
CREATE TABLE manifest AS
FROM read_json($manifest, format = 'newline_delimited', columns = {
    custom_id: 'VARCHAR', parent: 'VARCHAR', root: 'VARCHAR', path: 'VARCHAR', blob: 'VARCHAR', start_line: 'INTEGER', end_line: 'INTEGER',
    attempt: 'INTEGER', change: 'VARCHAR', repeat_lines: 'INTEGER[]', repeat_numbers: 'INTEGER[]', page_lines: 'INTEGER[]', body_offset: 'BIGINT', body_bytes: 'BIGINT'
});

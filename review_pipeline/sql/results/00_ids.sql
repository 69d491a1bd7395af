-- One row: how the custom_ids of a download differ from those that were sent. A torn line is an error, not a row; JSON without an id is no result.
WITH sent AS (SELECT custom_id FROM read_json($manifest, format = 'newline_delimited', columns = {custom_id: 'VARCHAR'})),
came AS (
    SELECT custom_id, count(*) AS times
    FROM read_json($raw, format = 'newline_delimited', columns = {custom_id: 'VARCHAR'})
    WHERE custom_id IS NOT NULL
    GROUP BY custom_id
)
SELECT coalesce(sum(times), 0)::BIGINT AS lines,
    count(*) FILTER (came.custom_id IS NULL) AS missing,
    count(*) FILTER (sent.custom_id IS NULL) AS unknown,
    count(*) FILTER (times > 1) AS doubled
FROM sent FULL JOIN came ON sent.custom_id = came.custom_id;

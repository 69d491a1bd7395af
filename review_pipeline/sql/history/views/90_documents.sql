-- One row per document of the newest audit of each set: the one state of reading it.
CREATE OR REPLACE VIEW documents AS
WITH newest AS (
    SELECT * FROM cells WHERE workload = 'document_compliance'
    QUALIFY row_number() OVER (PARTITION BY repo ORDER BY audit_date DESC, planned_at DESC, cell DESC) = 1
),
listed AS (
    SELECT newest.repo, newest.cell, newest.prompt_version, newest.model, newest.audit_date, files.path, files.blob, files.bytes, files.plan, files.reason
    FROM files JOIN newest USING (cell)
),
-- An earlier audit may have asked exactly this; its answers stand.
asked AS (
    SELECT listed.cell, listed.path, requests.cell AS asked_in
    FROM listed
    JOIN requests USING (repo, path, blob, prompt_version, model)
    JOIN cells ON cells.cell = requests.cell
    WHERE requests.workload = 'document_compliance' AND (listed.plan <> 'skipped' OR starts_with(listed.reason, 'given_up'))
    QUALIFY row_number() OVER (PARTITION BY listed.cell, listed.path ORDER BY cells.audit_date DESC, cells.planned_at DESC, requests.cell DESC) = 1
),
leaves AS (
    SELECT asked.cell, asked.path, count(*) AS pieces,
        count(*) FILTER (outcomes.class = 'ok') AS answered,
        count(*) FILTER (outcomes.class IS NULL) AS waiting,
        min(outcomes.class) FILTER (outcomes.class <> 'ok') AS failure
    FROM asked
    JOIN requests ON requests.cell = asked.asked_in AND requests.path = asked.path
    LEFT JOIN outcomes USING (custom_id)
    WHERE NOT EXISTS (FROM requests AS newer WHERE newer.parent = requests.custom_id)
    GROUP BY asked.cell, asked.path
)
SELECT listed.repo AS document_set, listed.path AS document,
    CASE
        WHEN listed.plan = 'skipped' AND NOT starts_with(listed.reason, 'given_up') THEN 'skipped'
        WHEN leaves.pieces IS NULL THEN 'waiting'
        WHEN leaves.waiting > 0 THEN 'waiting'
        WHEN leaves.answered = leaves.pieces THEN 'read'
        ELSE 'incomplete'
    END AS state,
    CASE
        WHEN listed.plan = 'skipped' THEN listed.reason
        WHEN leaves.failure IS NOT NULL THEN leaves.failure
        WHEN read_in.plan = 'submitted' THEN read_in.reason
    END AS reason,
    leaves.pieces, leaves.answered AS pieces_answered, listed.bytes, listed.blob, listed.model, listed.prompt_version, listed.audit_date, listed.cell, asked.asked_in
FROM listed
LEFT JOIN asked USING (cell, path)
LEFT JOIN leaves USING (cell, path)
LEFT JOIN files AS read_in ON read_in.cell = asked.asked_in AND read_in.path = listed.path;
COMMENT ON VIEW documents IS 'One row per document of the newest audit of each set and the one state of reading it: read, incomplete (a part got no answer), waiting, or skipped with its reason (no_text, encrypted, unreadable, too_large, ...). A reason of a document that was read names what of it holds no text.';

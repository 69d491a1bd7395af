-- Answers that parsed but break the schema's rules: one bad claim makes the whole answer unreadable.
CREATE TABLE misfits AS
SELECT DISTINCT custom_id FROM claims
WHERE claims > 0 AND NOT coalesce(anchor IS NOT NULL AND end_line IS NOT NULL AND issue IS NOT NULL AND suggestion IS NOT NULL
    AND evidence IS NOT NULL AND confidence BETWEEN 0 AND 1 AND severity IN (SELECT unnest($severities))
    AND category IN (SELECT category FROM families) AND regexp_full_match(coalesce(cwe, 'CWE-0'), 'CWE-[0-9]{1,5}'), false);

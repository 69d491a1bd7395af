-- Answers that parsed but are no whole answer: every rule that was asked has one verdict, none is invented, and what is met or violated quotes a passage.
CREATE TABLE misfits AS
SELECT custom_id FROM claims WHERE parsed
GROUP BY custom_id
HAVING NOT coalesce(bool_and(claims > 0 AND list_contains($rules, "rule") AND list_contains($verdicts, verdict) AND confidence BETWEEN 0 AND 1
        AND anchor IS NOT NULL AND explanation IS NOT NULL AND passage IS NOT NULL AND (NOT list_contains($quoting, verdict) OR trim(passage) <> '')), false)
    OR count(DISTINCT "rule") <> len($rules) OR count(*) <> len($rules);

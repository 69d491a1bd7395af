-- What developers made of what they were told, by what kind of finding it was and who found it.
CREATE OR REPLACE VIEW acceptance AS
WITH ends AS (
    SELECT fingerprint,
        CASE
            WHEN bool_or(outcome IN ('dismissed', 'disliked')) THEN 'rejected'
            WHEN bool_or(outcome IN ('fixed', 'fixed_later', 'liked', 'resolved')) THEN 'accepted'
            WHEN bool_or(outcome IN ('merged_open', 'closed_open')) THEN 'ignored'
            ELSE 'open'
        END AS ended
    FROM finding_outcomes GROUP BY fingerprint HAVING bool_or(outcome = 'told')
)
SELECT category, model, prompt_version, least(floor(confidence * 10) / 10, 0.9) AS confidence_from,
    count(*) AS told,
    count(*) FILTER (ended = 'accepted') AS accepted,
    count(*) FILTER (ended = 'rejected') AS rejected,
    count(*) FILTER (ended = 'ignored') AS ignored,
    count(*) FILTER (ended = 'open') AS still_open,
    round(count(*) FILTER (ended = 'accepted') / nullif(count(*) FILTER (ended <> 'open'), 0), 3) AS acceptance
FROM ends JOIN findings USING (fingerprint)
GROUP BY ALL;
COMMENT ON VIEW acceptance IS 'One row per category, model, prompt version and tenth of confidence: how many told findings were accepted (fixed, liked, or resolved by a person), rejected (dismissed, disliked) or ignored (merged or closed with them open). acceptance: accepted of those that have ended.';

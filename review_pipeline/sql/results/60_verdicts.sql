-- Every verdict of an answer that counts, with the place of its passage: exact, moved, unanchored, or none where nothing was quoted.
CREATE VIEW identified AS
SELECT claims.custom_id, manifest.path, manifest.blob, claims."rule", claims.verdict, claims.confidence, claims.explanation, claims.passage,
    coalesce(places.anchor, 'none') AS anchor, places.start_line, places.end_line,
    nullif(len(list_filter(manifest.page_lines, lambda first: first <= places.start_line)), 0)::INTEGER AS page,
    (outcomes.cost_usd / outcomes.claims)::DECIMAL(18, 9) AS cost_usd
FROM claims JOIN outcomes USING (custom_id) JOIN manifest USING (custom_id)
LEFT JOIN places ON places.custom_id = claims.custom_id AND places.nth = claims.nth
WHERE outcomes.class = 'ok' AND outcomes.claims > 0;

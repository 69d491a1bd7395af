-- One row per verdict, and one for an answer without any (claims = 0); `parsed` tells an empty answer from an unreadable one.
CREATE TABLE claims AS
WITH answers AS (
    SELECT replies.* EXCLUDE (answer), TRY(from_json_strict(answer, $structure)).verdicts AS claimed FROM replies JOIN manifest USING (custom_id)
)
SELECT * EXCLUDE (claimed), claimed IS NOT NULL AS parsed, coalesce(len(claimed), 0) AS claims,
    generate_subscripts(CASE WHEN len(claimed) > 0 THEN claimed ELSE [NULL] END, 1) AS nth,
    unnest(CASE WHEN len(claimed) > 0 THEN claimed ELSE [NULL] END, recursive := true)
FROM answers;

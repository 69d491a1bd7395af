-- The rules that an audit of documents asks for; none of any other.
INSERT INTO policy_rules
SELECT $cell, row_number() OVER (), id, title
FROM (SELECT unnest(from_json($rules, '[{"id":"VARCHAR","title":"VARCHAR"}]'), recursive := true));

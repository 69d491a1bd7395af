-- One row per document and rule of a set, in the policy's order.
SELECT document, "rule", title, verdict, route, coalesce('page ' || page || ', ', '') || coalesce('line ' || start_line, '') AS place,
    coalesce(passage, '') AS passage, coalesce(explanation, '') AS explanation, coalesce(claimed, '') AS claimed, coalesce(confidence::VARCHAR, '') AS confidence
FROM document_verdicts WHERE document_set = $document_set ORDER BY document, position;

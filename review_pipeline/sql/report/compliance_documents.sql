-- One row per document of a set, what is none left out, with how it stands.
SELECT documents.document, coalesce(standing.state, documents.state) AS state, coalesce(documents.reason, '') AS reason, documents.audit_date::VARCHAR AS audit_date
FROM documents LEFT JOIN document_compliance AS standing USING (document_set, document)
WHERE document_set = $document_set AND NOT (documents.state = 'skipped' AND split_part(documents.reason, ':', 1) IN ('not_document', 'excluded', 'symlink', 'submodule'))
ORDER BY documents.document;

-- The findings that were open at the end of the week, critical first, then by confidence, with the number of all of them.
SELECT findings.repo, findings.path, findings.path || coalesce(':' || findings.start_line, '') AS place, findings.severity, findings.confidence,
    findings.category, findings.issue, findings.suggestion, findings.evidence, findings.anchor, findings.route, spells.opened_on, spells.spell > 1 AS is_back, count(*) OVER () AS total
FROM findings JOIN open_spells AS spells USING (fingerprint)
WHERE spells.opened_on <= $week::DATE + 6 AND (spells.closed_on IS NULL OR spells.closed_on > $week::DATE + 6)
ORDER BY CASE findings.severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, findings.confidence DESC, findings.repo, findings.path,
    findings.start_line, findings.fingerprint
LIMIT $most;

-- What people and code made of the findings of one pull request. Each outcome is told once by the ledger.
INSERT INTO finding_outcomes
SELECT fingerprint, $repo, $number, outcome, actor, why, $heard_at
FROM (SELECT unnest(from_json($answers, '[{"fingerprint":"UUID","outcome":"VARCHAR","actor":"VARCHAR","why":"VARCHAR"}]'), recursive := true));

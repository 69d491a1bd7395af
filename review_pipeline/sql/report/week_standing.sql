-- One row: how far the history reaches, when it was applied, the first audit ever, and whether there was an audit in the week before.
SELECT coalesce((SELECT max(seq) FROM applied), 0) AS seq,
    (SELECT max(applied_at) FROM applied) AS applied_at,
    (SELECT min(audit_date) FROM cells) AS first_audit,
    (SELECT count(*) FROM cells WHERE audit_date BETWEEN $week::DATE - 7 AND $week::DATE - 1) AS audits_before;

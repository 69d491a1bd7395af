-- counts: of findings, NULL for an answer that does not fit.
CREATE TABLE misfits (custom_id VARCHAR);
UPDATE claims SET parsed = true, claims = fits.count
FROM (SELECT unnest($ids) AS custom_id, unnest($counts::BIGINT[]) AS count) AS fits
WHERE claims.custom_id = fits.custom_id AND fits.count IS NOT NULL;

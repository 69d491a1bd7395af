-- One row per answer to a call of a review, as the other workloads' claims have for an answer without any; what it says is read elsewhere.
CREATE TABLE claims AS SELECT *, false AS parsed, 0::BIGINT AS claims, 1::BIGINT AS nth FROM replies;

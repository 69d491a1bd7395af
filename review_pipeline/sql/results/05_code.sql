-- A line without its layout: normalised() of core/finding.py.
CREATE MACRO code_of(evidence) AS
    trim(CASE WHEN regexp_matches(trim(evidence, ' '), '[\t\n\r\f\v]|  ') THEN regexp_replace(evidence, '[ \t\n\r\f\v]+', ' ', 'g')
        ELSE evidence END, ' ');

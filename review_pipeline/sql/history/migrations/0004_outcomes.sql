CREATE TABLE finding_outcomes (
    fingerprint UUID NOT NULL,
    repo VARCHAR NOT NULL,
    number VARCHAR NOT NULL,        -- of the pull request where it was told
    outcome VARCHAR NOT NULL,       -- told | resolved | dismissed | liked | disliked | fixed | fixed_later | merged_open | closed_open
    actor VARCHAR NOT NULL,         -- who; empty for what the code shows
    why VARCHAR NOT NULL,
    heard_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE finding_outcomes IS 'One row per outcome of a finding that developers were told on a forge, and per person behind it.';

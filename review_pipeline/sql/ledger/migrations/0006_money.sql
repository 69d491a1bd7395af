-- The most that a submission can cost, in USD as a batch: reserved while it is out, until its usage is known.
ALTER TABLE submissions ADD COLUMN most_usd TEXT NOT NULL DEFAULT '0';

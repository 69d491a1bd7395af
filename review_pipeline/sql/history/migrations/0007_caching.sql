-- Before this nothing was asked to be cached, so nothing was saved by it.
ALTER TABLE outcomes ADD COLUMN cache_saved_usd DECIMAL(18, 9) DEFAULT 0; -- at batch prices, against the plain input price; negative: lost

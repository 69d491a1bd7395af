ALTER TABLE cells ADD COLUMN deadline_at TIMESTAMP;
ALTER TABLE batches ADD COLUMN route VARCHAR;
ALTER TABLE batches ADD COLUMN surcharge_usd DECIMAL(18, 9);
COMMENT ON COLUMN cells.deadline_at IS 'When its findings are due: planned_at and the SLA of the workload.';
COMMENT ON COLUMN batches.route IS 'batch, or sync for requests that a batch could not have answered in time and that were asked one by one.';
COMMENT ON COLUMN batches.surcharge_usd IS 'What the synchronous price cost more than a batch would have.';

ALTER TABLE review_calls ADD COLUMN batch_id VARCHAR;
COMMENT ON COLUMN review_calls.batch_id IS 'The Message Batch that brought the answer overnight. Its cost is in outcomes (session_id is the custom_id) and is 0 here, so that it counts once.';

-- Deliveries that somebody asked for one by one (a registration, a resend): they need not wait behind a run.
ALTER TABLE delivery_queue ADD COLUMN prompt boolean NOT NULL DEFAULT false;
CREATE INDEX delivery_queue_prompt ON delivery_queue (due_at, id) WHERE prompt;

-- name: webhook_insert
INSERT INTO subscription (identity, version, messageset_id, schedule_id, initial_sequence_number,
    next_sequence_number, lang, active, completed, process_status, metadata, hub_request_id, created_at, updated_at)
VALUES ($1, coalesce($2::integer, 1), $3::integer, $4::integer, $5::integer,
    coalesce($6::integer, 1), $7, coalesce($8::boolean, true), coalesce($9::boolean, false),
    coalesce($10::integer, 0), $11::jsonb, $12, $13::timestamptz, $13::timestamptz)
ON CONFLICT (hub_request_id) DO NOTHING

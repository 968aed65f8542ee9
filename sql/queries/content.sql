-- name: message_check
SELECT
  EXISTS (
    SELECT
    FROM message
    WHERE messageset_id = $1
      AND lang = $2
      AND sequence_number = $3
      AND id <> $4),
  (SELECT channel
   FROM messageset
   WHERE id = $1)

-- name: message_content
SELECT m.id, m.messageset_id, m.sequence_number, m.lang, m.text_content, m.binary_content_id, b.content, m.created_at, m.updated_at
FROM message m
LEFT JOIN binarycontent b ON b.id = m.binary_content_id
WHERE m.id = $1

-- name: messageset_contents
SELECT m.id, m.messageset_id, m.sequence_number, m.lang, m.text_content, m.binary_content_id, b.content, m.created_at, m.updated_at
FROM message m
LEFT JOIN binarycontent b ON b.id = m.binary_content_id
WHERE m.messageset_id = $1
ORDER BY m.sequence_number, m.id

-- name: messageset_head
SELECT id, short_name, notes, next_set_id, default_schedule_id, created_at, updated_at
FROM messageset
WHERE id = $1

-- name: messageset_languages
SELECT s.id, array_to_json(ARRAY(
    SELECT DISTINCT lang COLLATE "C"
    FROM message m
    WHERE m.messageset_id = s.id
    ORDER BY 1))
FROM messageset s
ORDER BY s.id


-- name: catalogue_sets
SELECT id, short_name, content_type, channel, next_set_id
FROM messageset

-- name: catalogue_messages
SELECT m.id, m.messageset_id, m.sequence_number, m.lang, m.text_content, m.binary_content_id, b.content, m.metadata
FROM message m
LEFT JOIN binarycontent b ON b.id = m.binary_content_id

-- name: catalogue_binaries
SELECT id, content
FROM binarycontent

-- For an import: from here on until the end of the transaction, nobody else writes a message.
-- name: import_lock
LOCK TABLE message IN SHARE ROW EXCLUSIVE MODE

-- JSON as a jsonb column gives it back.
-- name: import_json
SELECT $1::jsonb

-- name: import_add
INSERT INTO message (messageset_id, sequence_number, lang, text_content, binary_content_id, metadata, created_at, updated_at)
SELECT r.messageset_id, r.sequence_number, r.lang, r.text_content, r.binary_content_id, r.metadata, $7::timestamptz, $7::timestamptz
FROM unnest($1::integer[], $2::integer[], $3::text[], $4::text[], $5::integer[], $6::jsonb[])
    AS r (messageset_id, sequence_number, lang, text_content, binary_content_id, metadata)

-- name: import_change
UPDATE message m
SET text_content = r.text_content,
    binary_content_id = r.binary_content_id,
    metadata = r.metadata,
    updated_at = $5::timestamptz
FROM unnest($1::integer[], $2::text[], $3::integer[], $4::jsonb[]) AS r (id, text_content, binary_content_id, metadata)
WHERE m.id = r.id

-- name: import_remove
DELETE FROM message
WHERE id = ANY ($1::integer[])

-- name: clone_set
INSERT INTO messageset (short_name, label, notes, next_set_id, default_schedule_id, content_type, channel, created_at, updated_at)
SELECT $2, coalesce($3, label), notes, next_set_id, default_schedule_id, content_type, channel, $4::timestamptz, $4::timestamptz
FROM messageset
WHERE id = $1::integer
RETURNING id

-- name: clone_messages
INSERT INTO message (messageset_id, sequence_number, lang, text_content, binary_content_id, metadata, created_at, updated_at)
SELECT $2::integer, sequence_number, lang, text_content, binary_content_id, metadata, $3::timestamptz, $3::timestamptz
FROM message
WHERE messageset_id = $1::integer
ORDER BY id

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


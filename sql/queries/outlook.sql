-- What is to come, as the API tells it.

-- name: outlook_texts
SELECT m.id, m.text_content, b.id, b.content
FROM unnest($1::integer[], $2::integer[]) WITH ORDINALITY AS u (messageset_id, sequence_number, place)
LEFT JOIN message m ON m.messageset_id = u.messageset_id
    AND m.lang = $3
    AND m.sequence_number = u.sequence_number
LEFT JOIN binarycontent b ON b.id = m.binary_content_id
ORDER BY u.place

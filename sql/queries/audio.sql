-- The files that are copied to the server of a voice platform.

-- name: audio_files
SELECT id, content
FROM binarycontent
WHERE id > $1::integer
    AND content <> ''
ORDER BY id
LIMIT 500

-- Whether a file is still that of a row.
-- name: audio_file_is_wanted
SELECT 1
FROM binarycontent
WHERE id = $1::integer
    AND content = $2

-- Whether somebody is at a job.
-- name: audio_job_is_alive
SELECT 1
FROM job
WHERE id = $1::uuid
    AND finished_at IS NULL
    AND lease_until > now()

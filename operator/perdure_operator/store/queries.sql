-- What the operator asks of the store, by name. A write that may meet somebody's lock waits for it no longer than it is told.
-- It claims runs by the statements of the library, `claim_run` and `claimed_attempt`.
--
-- `owner LIKE 'cluster:%'` says nothing new: it is what the indices of clusters' runs say of themselves.

-- name: identity
SELECT m.schema_version, m.oldest_client, m.store_id, c.system_identifier::text AS system FROM perdure.meta m, pg_control_system() c

-- name: insert_run
-- The second part is what was there before.
WITH inserted AS (
    INSERT INTO perdure.runs (id, owner, namespace, name, entrypoint, input, source, backoff_limit, deadline_seconds, suspend, deadline_from)
    VALUES (%(id)s, %(owner)s, %(namespace)s, %(name)s, %(entrypoint)s, %(input)s::json, %(source)s::json,
            %(backoff_limit)s, %(deadline_seconds)s, %(suspend)s, CASE WHEN NOT %(suspend)s THEN clock_timestamp() END)
    ON CONFLICT DO NOTHING
    RETURNING owner
)
SELECT owner, true AS inserted FROM inserted
UNION ALL
SELECT owner, false FROM perdure.runs WHERE id = %(id)s

-- name: observe
-- Runs with all that is decided by, and in any case the store that answers. What may be long is cut short. Steps are not counted of
-- runs whose count is good enough, while they are held by the claims that it was made for.
SELECT m.store_id, o.*
FROM perdure.meta m LEFT JOIN LATERAL (
    SELECT r.id, r.state, r.attempt, r.claim, r.begun, r.backoff_limit, r.deadline_seconds, r.suspend, r.cancel, r.crashes, r.disruptions, r.disruption_limit,
           r.delay, r.started, r.finished, perdure.cleanup_left(r.id, r.started, r.cleanup_seconds) AS cleanup_left,
           r.cancel AND EXISTS (SELECT FROM perdure.steps s WHERE s.run_id = r.id AND s.step_key = 'perdure.cancel') AS cleans_up,
           extract(epoch FROM r.available - clock_timestamp())::double precision AS due_in,
           CASE WHEN NOT r.suspend THEN r.deadline_from END AS deadline_from,
           extract(epoch FROM clock_timestamp() - r.deadline_from)::double precision AS deadline_for,
           extract(epoch FROM clock_timestamp() - a.claimed)::double precision AS claimed_for,
           coalesce((SELECT k.steps FROM unnest(%(counted)s::uuid[], %(claims)s::uuid[], %(steps)s::bigint[]) AS k (run, claim, steps)
                     WHERE k.run = r.id AND k.claim = r.claim LIMIT 1),
                    (SELECT count(*) FROM perdure.steps s WHERE s.run_id = r.id)) AS steps, p.current_step,
           CASE WHEN octet_length(r.result::text) <= %(longest_result)s THEN r.result::text END AS result,
           coalesce(octet_length(r.result::text), 0) AS result_bytes,
           left(r.error::text, %(longest_error)s) AS error, a.image, i.attempt AS first_image_attempt, i.image AS first_image,
           l.attempt AS last_attempt, l.ending, l.code, l.signal, l.detail, l.ended, l.image AS last_image
    FROM perdure.runs r
    LEFT JOIN perdure.attempts a ON a.run_id = r.id AND a.attempt = r.attempt AND r.claim IS NOT NULL
    LEFT JOIN perdure.processes p ON p.id = r.process AND p.claim = r.claim
    LEFT JOIN LATERAL (
        SELECT e.attempt, e.ending, e.code, e.signal, e.detail, e.ended, e.image FROM perdure.attempts e
        WHERE e.run_id = r.id AND e.ended IS NOT NULL ORDER BY e.attempt DESC LIMIT 1
    ) l ON true
    LEFT JOIN LATERAL (
        SELECT e.attempt, e.image FROM perdure.attempts e
        WHERE r.attempt > 1 AND e.run_id = r.id AND e.image IS NOT NULL ORDER BY e.attempt LIMIT 1
    ) i ON true
    WHERE r.id = ANY (%(runs)s::uuid[]) AND r.owner = %(owner)s
) o ON true

-- name: other_owners
-- The owners of those of these runs that are not this owner's.
SELECT r.id, r.owner FROM perdure.runs r WHERE r.id = ANY (%(runs)s::uuid[]) AND r.owner <> %(owner)s

-- name: release_run
WITH shortly AS MATERIALIZED (
    SELECT set_config('lock_timeout', %(lock_timeout)s, true)
)
SELECT perdure.end_attempt(%(run)s, %(claim)s, %(ending)s, %(code)s, %(signal)s, %(detail)s) AS answer FROM shortly

-- name: note_image
-- The kubelet knows it, and the attempt's own process does not.
WITH shortly AS MATERIALIZED (
    SELECT set_config('lock_timeout', %(lock_timeout)s, true)
)
UPDATE perdure.attempts a SET image = %(image)s
FROM shortly, perdure.runs r
WHERE r.id = %(run)s AND r.owner = %(owner)s AND a.run_id = r.id AND a.claim = %(claim)s AND a.image IS NULL
RETURNING a.attempt

-- name: set_limits
-- The deadline does not count while the run is suspended, and begins anew when it is resumed, as a Job's does.
WITH shortly AS MATERIALIZED (
    SELECT set_config('lock_timeout', %(lock_timeout)s, true)
)
UPDATE perdure.runs r SET backoff_limit = %(backoff_limit)s, deadline_seconds = %(deadline_seconds)s, suspend = %(suspend)s, disruption_limit = %(disruption_limit)s,
    deadline_from = CASE WHEN r.suspend AND NOT %(suspend)s THEN clock_timestamp() ELSE r.deadline_from END
FROM shortly
WHERE r.id = %(run)s AND r.owner = %(owner)s AND r.state IN ('pending', 'running', 'waiting')
  AND (r.backoff_limit, r.deadline_seconds, r.suspend, r.disruption_limit)
      IS DISTINCT FROM (%(backoff_limit)s, %(deadline_seconds)s::double precision, %(suspend)s, %(disruption_limit)s)
RETURNING r.id

-- name: request_cancel
-- A run that no process holds ends at once, unless it may clean up; one that is held is asked to. `at_once`: nobody cleans up.
WITH shortly AS MATERIALIZED (
    SELECT set_config('lock_timeout', %(lock_timeout)s, true)
), asked AS (
    UPDATE perdure.runs r
    SET cancel = true,
        cleanup_seconds = CASE WHEN NOT %(at_once)s THEN r.cleanup_seconds END,
        state = CASE WHEN r.claim IS NOT NULL THEN r.state WHEN NOT %(at_once)s AND perdure.cleanup_left(r.id, r.started, r.cleanup_seconds) > 0 THEN 'pending' ELSE 'cancelled' END,
        finished = CASE WHEN r.claim IS NULL AND (%(at_once)s OR coalesce(perdure.cleanup_left(r.id, r.started, r.cleanup_seconds), 0) <= 0) THEN clock_timestamp() END
    FROM shortly
    WHERE r.id = %(run)s AND r.owner = %(owner)s AND r.state IN ('pending', 'running', 'waiting')
    RETURNING r.id, r.owner, r.state
)
SELECT state, perdure.notify(CASE state WHEN 'cancelled' THEN 'done' ELSE 'work' END, owner, id) FROM asked

-- name: cancel_gone
-- The Workflow is gone, and with it go the pods. So nobody else ends an attempt that has not begun, nor one that has begun
-- and says nothing more for so many seconds after the Workflow was seen to be gone; one that has just begun is asked to end.
WITH shortly AS MATERIALIZED (
    SELECT set_config('lock_timeout', %(lock_timeout)s, true)
), found AS MATERIALIZED (
    SELECT r.id, r.begun AND NOT coalesce(r.gone < clock_timestamp() - %(patience)s * interval '1 second', false) AS asked
    FROM shortly, perdure.runs r
    WHERE r.id = %(run)s AND r.owner = %(owner)s AND r.state IN ('pending', 'running', 'waiting')
    FOR UPDATE OF r
), asked AS (
    UPDATE perdure.runs r SET cancel = true, cleanup_seconds = NULL FROM found f WHERE r.id = f.id AND f.asked
    RETURNING r.id, r.owner, r.state
), cancelled AS (
    UPDATE perdure.runs r
    SET cancel = true, cleanup_seconds = NULL, state = 'cancelled', finished = clock_timestamp(),
        claim = NULL, process = NULL, begun = false, token = NULL, login = NULL
    FROM found f WHERE r.id = f.id AND NOT f.asked
    RETURNING r.id, r.owner, r.state, r.attempt
), ended AS (
    UPDATE perdure.attempts a SET ended = clock_timestamp(), ending = 'evicted', detail = 'its Workflow was deleted'
    FROM cancelled c WHERE a.run_id = c.id AND a.attempt = c.attempt AND a.ended IS NULL
), gone AS (
    -- `r` is the row as it was before this statement.
    DELETE FROM perdure.processes WHERE id IN (
        SELECT p.id FROM perdure.processes p JOIN perdure.runs r ON r.process = p.id AND r.claim = p.claim
        JOIN cancelled c ON c.id = r.id
        FOR UPDATE OF p SKIP LOCKED
    )
)
SELECT state, perdure.notify('work', owner, id) FROM asked
UNION ALL
SELECT state, perdure.notify('done', owner, id) FROM cancelled

-- name: end_run
-- Held or not: what its process writes from now on is refused.
WITH shortly AS MATERIALIZED (
    SELECT set_config('lock_timeout', %(lock_timeout)s, true)
), failed AS (
    UPDATE perdure.runs r
    SET state = 'failed', finished = clock_timestamp(), claim = NULL, process = NULL, begun = false, token = NULL, login = NULL,
        error = json_build_object('type', %(type)s::text, 'message', %(message)s::text, 'args', json_build_array(%(message)s::text))
    FROM shortly
    WHERE r.id = %(run)s AND r.owner = %(owner)s AND r.state IN ('pending', 'running', 'waiting')
    RETURNING r.id, r.owner, r.attempt
), ended AS (
    UPDATE perdure.attempts a SET ended = clock_timestamp(), ending = 'superseded', detail = %(message)s
    FROM failed f WHERE a.run_id = f.id AND a.attempt = f.attempt AND a.ended IS NULL
), gone AS (
    DELETE FROM perdure.processes WHERE id IN (
        SELECT p.id FROM perdure.processes p JOIN perdure.runs r ON r.process = p.id AND r.claim = p.claim JOIN failed f ON f.id = r.id
        FOR UPDATE OF p SKIP LOCKED
    )
)
SELECT id, perdure.notify('done', owner, id) FROM failed

-- name: active_runs
SELECT m.store_id, o.*
FROM perdure.meta m LEFT JOIN LATERAL (
    SELECT r.id, r.namespace, r.name, r.state, r.attempt, r.claim IS NOT NULL AS held, r.cancel FROM perdure.runs r
    WHERE r.owner = %(owner)s AND r.owner LIKE 'cluster:%%' AND r.state IN ('pending', 'running', 'waiting')
) o ON true

-- name: ended_runs
-- Those whose Workflow is there, as far as is known.
SELECT r.id, r.namespace, r.name, r.state, r.attempt, false AS held, r.cancel FROM perdure.runs r
WHERE r.owner = %(owner)s AND r.owner LIKE 'cluster:%%' AND r.gone IS NULL AND r.state IN ('succeeded', 'failed', 'cancelled')

-- name: count_runs
-- By namespace and state, without those whose Workflow is gone.
SELECT r.namespace, r.state, r.claim IS NOT NULL AS held, count(*) AS runs FROM perdure.runs r
WHERE r.owner = %(owner)s AND r.owner LIKE 'cluster:%%' AND r.gone IS NULL GROUP BY 1, 2, 3

-- name: run_attempts
-- Those after one of them. A step's start is stored with its outcome; of one that is in flight nobody knows it but its process.
SELECT a.attempt, a.ending, a.image, extract(epoch FROM a.begun - a.claimed)::double precision AS began_after,
       extract(epoch FROM s.started - a.claimed)::double precision AS stepped_after
FROM perdure.attempts a LEFT JOIN LATERAL (
    SELECT min(s.started) AS started FROM perdure.steps s WHERE s.run_id = a.run_id AND s.attempt = a.attempt
) s ON true
WHERE a.run_id = %(run)s AND a.attempt > %(after)s ORDER BY a.attempt

-- name: live_runs
-- Runs that a process holds, with its counter. Their processes are read as one: 10,000 look-ups take three times as long.
WITH processes AS MATERIALIZED (
    SELECT p.id, p.claim, p.counter FROM perdure.processes p WHERE p.owner = %(owner)s
)
SELECT concat(r.id, ' ', r.claim) AS held, p.counter
FROM perdure.runs r LEFT JOIN processes p ON p.id = r.process AND p.claim = r.claim
WHERE r.owner = %(owner)s AND r.owner LIKE 'cluster:%%' AND r.state IN ('pending', 'running', 'waiting') AND r.begun

-- name: mark_gone
-- Rows that somebody has locked are left out, here and below, until the next time.
UPDATE perdure.runs SET gone = clock_timestamp() WHERE id IN (
    SELECT r.id FROM perdure.runs r WHERE r.id = ANY (%(runs)s::uuid[]) AND r.owner = %(owner)s AND r.gone IS NULL
    FOR NO KEY UPDATE SKIP LOCKED
) RETURNING id

-- name: mark_back
UPDATE perdure.runs SET gone = NULL WHERE id IN (
    SELECT r.id FROM perdure.runs r WHERE r.id = ANY (%(runs)s::uuid[]) AND r.owner = %(owner)s AND r.gone IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED
) RETURNING id

-- name: delete_gone_steps
-- Nobody holds a run that has ended, so no checkpoint of it is under way.
WITH old AS (
    SELECT r.id FROM perdure.runs r
    WHERE r.owner = %(owner)s AND r.gone < now() - %(seconds)s * interval '1 second' AND r.state IN ('succeeded', 'failed', 'cancelled')
      AND r.finished < now() - %(seconds)s * interval '1 second'
), chosen AS MATERIALIZED (
    SELECT s.run_id, s.step_key FROM old JOIN perdure.steps s ON s.run_id = old.id LIMIT %(batch)s
), deleted AS (
    DELETE FROM perdure.steps s USING chosen WHERE s.run_id = chosen.run_id AND s.step_key = chosen.step_key RETURNING 1
)
SELECT count(*) AS deleted FROM deleted

-- name: delete_gone_runs
-- Those of which no step is left.
WITH old AS MATERIALIZED (
    SELECT r.id FROM perdure.runs r
    WHERE r.owner = %(owner)s AND r.gone < now() - %(seconds)s * interval '1 second' AND r.state IN ('succeeded', 'failed', 'cancelled')
      AND r.finished < now() - %(seconds)s * interval '1 second' AND NOT EXISTS (SELECT FROM perdure.steps s WHERE s.run_id = r.id)
    ORDER BY r.gone LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), attempts_gone AS (
    DELETE FROM perdure.attempts a USING old WHERE a.run_id = old.id
)
DELETE FROM perdure.runs r USING old WHERE r.id = old.id RETURNING r.id

-- name: sweep_processes
-- Rows of processes whose claim is over: what a claim leaves behind where somebody had the row locked.
DELETE FROM perdure.processes p
WHERE p.owner = %(owner)s AND p.claim IS NOT NULL
  AND NOT EXISTS (SELECT FROM perdure.runs r WHERE r.process = p.id AND r.claim = p.claim AND r.state = 'running')

-- name: notify_queue
SELECT pg_notification_queue_usage() AS usage

-- name: channels
SELECT perdure.channel('work', %(owner)s) AS work, perdure.channel('done', %(owner)s) AS done

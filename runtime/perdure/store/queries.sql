-- Statements of clients, workers and operators, by name. Processes that run an attempt use the functions of the schema instead.

-- name: versions
SELECT schema_version, oldest_client, store_id FROM perdure.meta

-- name: insert_run
WITH inserted AS (
    INSERT INTO perdure.runs (id, owner, namespace, name, entrypoint, input, source, origin, backoff_limit, deadline_seconds, suspend,
                              cleanup_seconds)
    VALUES (%(id)s, %(owner)s, %(namespace)s, %(name)s, %(entrypoint)s, %(input)s, %(source)s, %(origin)s, %(backoff_limit)s, %(deadline_seconds)s, %(suspend)s,
            %(cleanup_seconds)s)
    ON CONFLICT DO NOTHING
    RETURNING id, owner
)
SELECT id, perdure.notify('work', owner, id) FROM inserted

-- name: find_run
SELECT id, entrypoint, input::text AS input, origin FROM perdure.runs WHERE owner = %(owner)s AND namespace = %(namespace)s AND name = %(name)s

-- name: find_manifest
SELECT id AS run_id, entrypoint, input::text AS input, source::text AS source, created, started
FROM perdure.runs WHERE owner = %(owner)s AND owner LIKE 'cluster:%%' AND gone IS NULL AND namespace = %(namespace)s AND name = %(name)s
ORDER BY created, id LIMIT 1

-- name: lock_manifest
-- What is read after it, in the same transaction, is what whoever had it before has committed.
SELECT pg_advisory_xact_lock(hashtextextended(concat_ws('/', %(owner)s::text, %(namespace)s::text, %(name)s::text), 0))

-- name: claim_run
-- Compare and set, for one run of one owner or of whichever, on the attempt that the claimer observed; a lost answer is found out
-- by the token. A row that somebody has locked is waited for no longer than told, or with '0' for as long as it takes.
WITH shortly AS MATERIALIZED (
    SELECT set_config('lock_timeout', %(lock_timeout)s, true)
), claimed AS (
    UPDATE perdure.runs r
    SET attempt = r.attempt + 1, claim = %(token)s, begun = false, token = NULL, login = NULL, process = NULL, state = 'pending'
    FROM shortly
    WHERE r.id = %(run)s AND r.owner = coalesce(%(owner)s, r.owner) AND r.attempt = %(observed)s
      AND r.state IN ('pending', 'running', 'waiting') AND CASE WHEN r.cancel THEN perdure.cleanup_left(r.id, r.started, r.cleanup_seconds) > 0 ELSE NOT r.suspend END
    RETURNING r.id, r.attempt
), noted AS (
    INSERT INTO perdure.attempts (run_id, attempt, claim, claimed) SELECT id, attempt, %(token)s, clock_timestamp() FROM claimed
), ended AS (
    UPDATE perdure.attempts a SET ended = clock_timestamp(), ending = 'superseded'
    FROM claimed c WHERE a.run_id = c.id AND a.attempt = c.attempt - 1 AND a.ended IS NULL
), gone AS (
    -- `r` is the row as it was before this statement. A heartbeat that never commits must not stop a claim.
    DELETE FROM perdure.processes WHERE id IN (
        SELECT p.id FROM perdure.processes p JOIN perdure.runs r ON r.process = p.id AND r.claim = p.claim JOIN claimed c ON c.id = r.id
        FOR UPDATE OF p SKIP LOCKED
    )
)
SELECT attempt FROM claimed

-- name: end_older_transactions
-- End the backends that run database steps of attempts of a run before this one: nothing they write is accepted, and their
-- locks may be in the way of a claim, or of the same step again. The names are `application_name` of `transactions`.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database()
  AND (pg_has_role(usesysid, 'MEMBER') OR pg_has_role('pg_signal_backend', 'MEMBER'))
  AND (regexp_match(application_name, '^perdure ' || %(run)s::text || ' ([0-9]{1,9})$'))[1]::integer < %(attempt)s::integer

-- name: claimed_attempt
-- What `claim_run` did, where its answer was lost.
SELECT attempt FROM perdure.runs WHERE id = %(run)s AND claim = %(token)s

-- name: claim_runs
-- Claim and begin pending runs in one statement (the tokens are their claims, too: nobody else is told them), oldest first, so that a run which was interrupted keeps its place: one that crashed
-- repeatedly, and as many others as there are places for each kind of workflow, up to so many bytes of input, or one; whether there
-- would have been more is said with each. The claimer's row among the processes comes with them, so that nobody holds runs unseen.
-- In a database that several projects share, a run of a file is for the workers that have this file.
WITH shortly AS MATERIALIZED (
    -- Somebody may hold the claimer's own row.
    SELECT set_config('lock_timeout', '1s', true)
), suspects AS (
    SELECT id, created, octet_length(input::text) AS bytes FROM perdure.runs
    WHERE owner = %(owner)s AND state = 'pending' AND claim IS NULL AND (cancel OR NOT suspend) AND crashes >= 2
      AND (origin IS NULL OR %(origins)s::text[] IS NULL OR origin = ANY (%(origins)s::text[]))
      AND (entrypoint = ANY (%(async_entrypoints)s) OR entrypoint = ANY (%(sync_entrypoints)s))
      AND (available <= now() OR id = ANY (%(due)s::uuid[]))
    ORDER BY created LIMIT %(suspects)s
    FOR UPDATE SKIP LOCKED
), for_loop AS (
    SELECT id, created, octet_length(input::text) AS bytes FROM perdure.runs
    WHERE owner = %(owner)s AND state = 'pending' AND claim IS NULL AND (cancel OR NOT suspend) AND crashes < 2
      AND (origin IS NULL OR %(origins)s::text[] IS NULL OR origin = ANY (%(origins)s::text[]))
      AND entrypoint = ANY (%(async_entrypoints)s) AND (available <= now() OR id = ANY (%(due)s::uuid[]))
    ORDER BY created LIMIT %(async_places)s
    FOR UPDATE SKIP LOCKED
), for_threads AS (
    SELECT id, created, octet_length(input::text) AS bytes FROM perdure.runs
    WHERE owner = %(owner)s AND state = 'pending' AND claim IS NULL AND (cancel OR NOT suspend) AND crashes < 2
      AND (origin IS NULL OR %(origins)s::text[] IS NULL OR origin = ANY (%(origins)s::text[]))
      AND entrypoint = ANY (%(sync_entrypoints)s) AND (available <= now() OR id = ANY (%(due)s::uuid[]))
    ORDER BY created LIMIT %(sync_places)s
    FOR UPDATE SKIP LOCKED
), numbered AS (
    SELECT id, (row_number() OVER oldest)::integer AS n, sum(bytes) OVER oldest AS bytes
    FROM (SELECT * FROM suspects UNION ALL SELECT * FROM for_loop UNION ALL SELECT * FROM for_threads) free
    WINDOW oldest AS (ORDER BY created, id ROWS UNBOUNDED PRECEDING)
), claimed AS (
    UPDATE perdure.runs r
    SET state = 'running', attempt = r.attempt + 1, claim = (%(tokens)s::uuid[])[n.n], process = %(process)s, begun = true,
        token = (%(tokens)s::uuid[])[n.n], login = session_user,
        timeline = left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), started = coalesce(r.started, clock_timestamp()),
        cleanup_seconds = CASE WHEN r.cancel THEN r.cleanup_seconds ELSE (
            SELECT d.seconds FROM unnest(%(cleaning_entrypoints)s::text[], %(cleanup_seconds)s::double precision[]) AS d (entrypoint, seconds)
            WHERE d.entrypoint = r.entrypoint) END,
        clock = CASE WHEN r.attempt > 0 THEN perdure.clock_reading(r.id, r.clock, r.clock_at) ELSE 0 END, clock_at = clock_timestamp()
    FROM shortly, numbered n WHERE r.id = n.id AND (n.n = 1 OR n.bytes <= %(bytes)s)
    RETURNING n.n, r.id, r.claim, r.attempt, r.name, r.entrypoint, r.input::text AS input, r.crashes, r.cancel,
              r.deadline_seconds - extract(epoch FROM clock_timestamp() - r.started)::double precision AS deadline_in,
              r.seed, perdure.cleanup_left(r.id, r.started, r.cleanup_seconds) AS cleanup, r.clock, r.started
), noted AS (
    INSERT INTO perdure.attempts (run_id, attempt, claim, process, begun, clock)
    SELECT id, attempt, claim, %(where)s, clock_timestamp(), clock FROM claimed
), registered AS (
    INSERT INTO perdure.processes (id, owner, host, pid, pid_started)
    SELECT %(process)s, %(owner)s, %(host)s, %(pid)s, %(pid_started)s WHERE EXISTS (SELECT FROM claimed)
    ON CONFLICT (id) DO UPDATE SET counter = processes.counter + 1
)
SELECT c.*, (SELECT count(*) FROM numbered) > (SELECT count(*) FROM claimed) AS more,
       CASE WHEN c.attempt > 1 THEN (
           SELECT sum(coalesce(octet_length(s.result::text), 0) + coalesce(octet_length(s.error::text), 0)) FROM perdure.steps s WHERE s.run_id = c.id
       ) END AS recorded_bytes
FROM claimed c ORDER BY c.n

-- name: claimed_runs
-- What `claim_runs` answered, where its answer was lost.
SELECT r.id, r.claim, r.attempt, r.name, r.entrypoint, r.input::text AS input, r.crashes, r.cancel,
       r.deadline_seconds - extract(epoch FROM clock_timestamp() - r.started)::double precision AS deadline_in,
       r.seed, perdure.cleanup_left(r.id, r.started, r.cleanup_seconds) AS cleanup, true AS more,
       perdure.clock_reading(r.id, r.clock, r.clock_at) AS clock, r.started,
       (SELECT sum(coalesce(octet_length(s.result::text), 0) + coalesce(octet_length(s.error::text), 0)) FROM perdure.steps s WHERE s.run_id = r.id)
           AS recorded_bytes
FROM perdure.runs r WHERE r.claim = ANY (%(tokens)s::uuid[]) AND r.process = %(process)s

-- name: survey
-- All that a worker looks at now and then, in one statement: is there a run to claim now ('ready'), is one that crashed repeatedly among the
-- first in line ('suspect'), which wait out a delay ('delayed'), which other processes hold runs ('process'; without a row of
-- theirs, only their id), and, where `full`, which runs the store thinks that the asking process holds ('held').
WITH mine AS (
    SELECT %(owner)s::text AS owner, %(process)s::uuid AS process, %(entrypoints)s::text[] AS entrypoints
), next AS (
    -- By the values themselves: what comes from `mine`, the planner knows nothing of, and it would sort the whole queue.
    SELECT r.crashes FROM perdure.runs r
    WHERE r.owner = %(owner)s AND r.state = 'pending' AND r.claim IS NULL AND (r.cancel OR NOT r.suspend) AND r.entrypoint = ANY (%(entrypoints)s)
      AND (r.origin IS NULL OR %(origins)s::text[] IS NULL OR r.origin = ANY (%(origins)s::text[]))
      AND r.available <= now()
    ORDER BY r.created LIMIT 1000
), delayed AS (
    SELECT r.id, r.attempt, r.crashes, r.delay, extract(epoch FROM r.available - now())::double precision AS due_in
    FROM mine, perdure.runs r
    WHERE r.owner = mine.owner AND r.state = 'pending' AND r.claim IS NULL AND (r.cancel OR NOT r.suspend) AND r.entrypoint = ANY (mine.entrypoints)
      AND (r.origin IS NULL OR %(origins)s::text[] IS NULL OR r.origin = ANY (%(origins)s::text[]))
      AND r.available > now()
    ORDER BY r.available LIMIT 1000
), holders AS (
    SELECT DISTINCT r.process FROM mine, perdure.runs r
    WHERE r.state = 'running' AND r.owner = mine.owner AND r.process <> mine.process
)
SELECT 'ready' AS what, NULL::uuid AS id, NULL::uuid AS claim, NULL::integer AS attempt, NULL::integer AS crashes,
       NULL::double precision AS delay, NULL::double precision AS due_in,
       NULL AS host, NULL::integer AS pid, NULL::bigint AS pid_started, NULL::bigint AS counter
FROM (SELECT FROM next WHERE crashes < 2 LIMIT 1) ready
UNION ALL
SELECT 'suspect', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM (SELECT FROM next WHERE crashes >= 2 LIMIT 1) suspect
UNION ALL
SELECT 'delayed', id, NULL, attempt, crashes, delay, due_in, NULL, NULL, NULL, NULL FROM delayed
UNION ALL
SELECT 'process', h.process, NULL, NULL, NULL, NULL, NULL, p.host, p.pid, p.pid_started, p.counter
FROM holders h LEFT JOIN perdure.processes p ON p.id = h.process
UNION ALL
SELECT 'held', r.id, r.claim, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM mine, perdure.runs r WHERE %(full)s AND r.process = mine.process AND r.state = 'running'

-- name: cancelled_runs
-- Of these runs of a process, those whose cancellation is asked for, and whether without time to clean up.
SELECT id, cleanup_seconds IS NULL AS at_once FROM perdure.runs WHERE id = ANY (%(runs)s::uuid[]) AND process = %(process)s AND cancel

-- name: worker_heartbeat
-- Raise a worker's counter; the runs of it whose cancellation is asked for. A row that somebody removed is made anew.
WITH lightly AS (
    SELECT set_config('synchronous_commit', 'off', true)
), beaten AS (
    INSERT INTO perdure.processes (id, owner, host, pid, pid_started)
    SELECT %(process)s, %(owner)s, %(host)s, %(pid)s, %(pid_started)s FROM lightly
    ON CONFLICT (id) DO UPDATE SET counter = processes.counter + 1
)
SELECT id FROM perdure.runs WHERE process = %(process)s AND state = 'running' AND cancel

-- name: release_process
-- Give back the runs of a process that was seen dead: only if its counter still stands where it was seen, or if its death is `sure`.
-- It waits for no lock: runs whose rows somebody has locked are left out, or all, while it is the process's own row that is.
WITH still AS MATERIALIZED (
    SELECT counter FROM perdure.processes WHERE id = %(process)s FOR UPDATE SKIP LOCKED
)
SELECT r.id, perdure.end_attempt(r.id, r.claim, %(ending)s, NULL, NULL, %(detail)s)
FROM (
    SELECT r.id, r.claim FROM perdure.runs r
    WHERE r.process = %(process)s AND r.state = 'running'
      AND (%(sure)s OR (SELECT counter FROM still) IS NOT DISTINCT FROM %(counter)s::bigint)
    ORDER BY r.id
    FOR UPDATE SKIP LOCKED
) r

-- name: unreleased_runs
-- Those that `release_process` left out.
SELECT r.id, r.claim FROM perdure.runs r
WHERE r.process = %(process)s AND r.state = 'running'
  AND (%(sure)s OR (SELECT counter FROM perdure.processes WHERE id = %(process)s) IS NOT DISTINCT FROM %(counter)s::bigint)
ORDER BY r.id

-- name: end_attempt
SELECT perdure.end_attempt(%(run)s, %(claim)s, %(ending)s, NULL, NULL, %(detail)s)

-- name: unregister_process
-- Only one that holds no run; with a `counter`, only if that is still where it was seen. A row that is locked stays.
DELETE FROM perdure.processes WHERE id IN (
    SELECT p.id FROM perdure.processes p
    WHERE p.id = %(process)s AND (%(counter)s::bigint IS NULL OR p.counter = %(counter)s)
      AND NOT EXISTS (SELECT FROM perdure.runs r WHERE r.process = p.id AND r.state = 'running')
    FOR UPDATE SKIP LOCKED
)

-- name: sweep_processes
-- Workers that hold no run need no row, and get it again with their next claim.
DELETE FROM perdure.processes WHERE id IN (
    SELECT p.id FROM perdure.processes p
    WHERE p.owner = %(owner)s AND p.claim IS NULL AND NOT EXISTS (SELECT FROM perdure.runs r WHERE r.process = p.id AND r.state = 'running')
    FOR UPDATE SKIP LOCKED
)

-- name: finish_runs
-- End many runs in one statement. Those whose rows somebody has locked are left out (6), and stall no other.
WITH shortly AS MATERIALIZED (
    SELECT set_config('lock_timeout', '100ms', true)
), given AS (
    SELECT * FROM unnest(%(runs)s::uuid[], %(claims)s::uuid[], %(states)s::text[], %(results)s::text[], %(errors)s::text[]) WITH ORDINALITY
        AS u (run, claim, state, result, error, place)
), free AS MATERIALIZED (
    SELECT r.id FROM shortly, perdure.runs r WHERE r.id = ANY (%(runs)s::uuid[]) ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
)
SELECT g.place,
       CASE WHEN f.id IS NULL AND EXISTS (SELECT FROM perdure.runs r WHERE r.id = g.run AND r.claim = g.claim) THEN 6
            ELSE perdure.finish(g.run, g.claim, g.state, g.result::json, g.error::json) END
FROM given g LEFT JOIN free f ON f.id = g.run

-- name: finish_run
SELECT perdure.finish(%(run)s, %(claim)s, %(state)s, %(result)s::json, %(error)s::json)

-- name: release_runs
-- End many attempts in one statement, as `finish_runs` ends runs.
WITH shortly AS MATERIALIZED (
    SELECT set_config('lock_timeout', '100ms', true)
), given AS (
    SELECT * FROM unnest(%(runs)s::uuid[], %(claims)s::uuid[], %(endings)s::text[], %(details)s::text[]) WITH ORDINALITY
        AS u (run, claim, ending, detail, place)
), free AS MATERIALIZED (
    SELECT r.id FROM shortly, perdure.runs r WHERE r.id = ANY (%(runs)s::uuid[]) ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
)
SELECT g.place,
       CASE WHEN f.id IS NULL AND EXISTS (SELECT FROM perdure.runs r WHERE r.id = g.run AND r.claim = g.claim) THEN 6
            ELSE perdure.end_attempt(g.run, g.claim, g.ending, NULL, NULL, g.detail) END
FROM given g LEFT JOIN free f ON f.id = g.run

-- name: wait_for_lock
SELECT set_config('lock_timeout', %(timeout)s, true), pg_backend_pid()

-- name: blockers
-- The backends for whose locks a backend waits, and what they are doing.
SELECT a.pid, a.application_name, a.state, a.query FROM pg_stat_activity a WHERE a.pid = ANY (pg_blocking_pids(%(pid)s))

-- name: end_backend
SELECT pg_terminate_backend(%(pid)s)

-- name: work_channel
SELECT perdure.channel('work', %(owner)s)

-- name: system_identifier
SELECT system_identifier::text FROM pg_control_system()

-- name: request_cancel
-- A run that no process holds ends at once, unless it may clean up; one that is held is asked to. `at_once`: nobody cleans up.
WITH asked AS (
    UPDATE perdure.runs r
    SET cancel = true,
        cleanup_seconds = CASE WHEN NOT %(at_once)s THEN r.cleanup_seconds END,
        state = CASE WHEN r.claim IS NOT NULL THEN r.state WHEN NOT %(at_once)s AND perdure.cleanup_left(r.id, r.started, r.cleanup_seconds) > 0 THEN 'pending' ELSE 'cancelled' END,
        finished = CASE WHEN r.claim IS NULL AND (%(at_once)s OR coalesce(perdure.cleanup_left(r.id, r.started, r.cleanup_seconds), 0) <= 0) THEN clock_timestamp() END
    WHERE r.id = %(run)s AND r.state IN ('pending', 'running', 'waiting')
    RETURNING r.id, r.owner, r.state
)
SELECT state, perdure.notify(CASE state WHEN 'cancelled' THEN 'done' ELSE 'work' END, owner, id) FROM asked

-- name: run_ending
SELECT state, result::text AS result, error::text AS error FROM perdure.runs WHERE id = %(run)s

-- name: run_endings
-- How these runs stand; one that is missing is gone. With their values, until these come to so many bytes: those of the others, which are
-- 'cut', are to be asked for anew.
SELECT id, state, cut, CASE WHEN NOT cut THEN result::text END AS result, CASE WHEN NOT cut THEN error::text END AS error
FROM (
    SELECT id, state, result, error, sum(size) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - size >= %(bytes)s AS cut
    FROM (
        SELECT id, state, result, error, coalesce(octet_length(result::text), 0) + coalesce(octet_length(error::text), 0) AS size
        FROM perdure.runs WHERE id = ANY (%(runs)s::uuid[])
    ) asked
) counted

-- name: done_channel
SELECT perdure.channel('done', %(owner)s)

-- name: list_runs
-- Newest first; a filter that is NULL lets everything pass. Values are left out, they may be large.
SELECT r.id AS run_id, r.owner, r.namespace, r.name AS id, r.entrypoint, r.state, r.attempt AS attempts, r.crashes, r.cancel, r.suspend,
       r.created, r.started, r.finished, r.error ->> 'type' AS error_type, left(r.error ->> 'message', 1000) AS error_message,
       (SELECT count(*) FROM perdure.steps s WHERE s.run_id = r.id) AS steps
FROM perdure.runs r
WHERE (%(run)s::uuid IS NULL OR r.id = %(run)s)
  AND (%(owner)s::text IS NULL OR r.owner = %(owner)s)
  AND (%(name)s::text IS NULL OR (r.name = %(name)s AND r.namespace = %(namespace)s))
  AND (%(id_prefix)s::text IS NULL OR starts_with(r.name, %(id_prefix)s))
  AND (%(states)s::text[] IS NULL OR r.state = ANY (%(states)s))
  AND (%(entrypoint)s::text IS NULL OR r.entrypoint = %(entrypoint)s)
  AND (%(created_since)s::timestamptz IS NULL OR r.created >= %(created_since)s)
  AND (%(created_before)s::timestamptz IS NULL OR r.created < %(created_before)s)
  AND (%(after_created)s::timestamptz IS NULL OR (r.created, r.id) < (%(after_created)s, %(after_run)s))
ORDER BY r.created DESC, r.id DESC LIMIT %(limit)s

-- name: run_values
SELECT input::text AS input, result::text AS result, error::text AS error FROM perdure.runs WHERE id = %(run)s

-- name: run_attempts
SELECT attempt, process, node, image, claimed, begun, ended, ending, code, signal, detail FROM perdure.attempts WHERE run_id = %(run)s ORDER BY attempt

-- name: run_steps
SELECT step_key AS key, name, ordinal, attempt, tries, started, finished, result::text AS result, error::text AS error
FROM perdure.steps WHERE run_id = %(run)s ORDER BY ordinal

-- name: recorded_steps
-- What is shown of a run that goes on; no values, which may be large. Concurrent steps may be stored in another order than their ordinals'.
SELECT step_key AS key, ordinal, attempt, tries, finished - started AS duration,
       CASE WHEN error IS NOT NULL THEN 'error' WHEN result IS NULL THEN 'cancelled' ELSE 'result' END AS outcome
FROM perdure.steps WHERE run_id = %(run)s AND ordinal > %(after)s ORDER BY ordinal

-- name: list_own_runs
-- These four are what a login sees that is not the owner of the store's schema, and is bound to namespaces: no tables.
SELECT * FROM perdure.own_runs(%(run)s::uuid, %(name)s::text, %(id_prefix)s::text, %(states)s::text[], %(entrypoint)s::text,
    %(created_since)s::timestamptz, %(created_before)s::timestamptz, %(after_created)s::timestamptz, %(after_run)s::uuid, %(limit)s::bigint)

-- name: own_run_values
SELECT * FROM perdure.own_values(%(run)s::uuid)

-- name: own_run_attempts
SELECT * FROM perdure.own_attempts(%(run)s::uuid)

-- name: own_run_steps
SELECT * FROM perdure.own_steps(%(run)s::uuid)

-- name: delete_run
DELETE FROM perdure.runs WHERE id = %(run)s AND (%(force)s OR state IN ('succeeded', 'failed', 'cancelled'))
RETURNING claim

-- name: delete_history
-- After `delete_run`, in its transaction: its lock has waited for the last checkpoint, which only a later statement sees.
WITH attempts_gone AS (
    DELETE FROM perdure.attempts WHERE run_id = %(run)s
), process_gone AS (
    DELETE FROM perdure.processes WHERE claim = %(claim)s
)
DELETE FROM perdure.steps WHERE run_id = %(run)s

-- name: run_standing
-- What decides whether, and by whom, one run may be claimed now.
SELECT r.state, r.attempt, r.claim, r.begun, r.crashes, r.backoff_limit, r.cancel, r.suspend,
       extract(epoch FROM r.available - clock_timestamp())::double precision AS due_in, r.delay,
       r.process AS process_id, p.host, p.pid, p.pid_started, p.counter, p.steps_done, a.process AS claimer
FROM perdure.runs r
LEFT JOIN perdure.processes p ON p.id = r.process
LEFT JOIN perdure.attempts a ON a.run_id = r.id AND a.attempt = r.attempt AND NOT r.begun
WHERE r.id = %(run)s

-- name: note_claimer
-- Who will start the claimed attempt's process, until that begins and writes its own name there.
UPDATE perdure.attempts SET process = %(claimer)s WHERE run_id = %(run)s AND claim = %(token)s AND begun IS NULL

-- name: renew_store_id
UPDATE perdure.meta SET store_id = gen_random_uuid() RETURNING store_id

-- name: supersede_all
SELECT perdure.end_attempt(id, claim, 'superseded', NULL, NULL, 'the store was restored from a backup') FROM perdure.runs
WHERE claim IS NOT NULL

-- name: bound_logins
SELECT l.login, l.owner, l.namespace, l.purpose, coalesce(r.rolcanlogin, false), l.locks
FROM perdure.logins l LEFT JOIN pg_roles r ON r.rolname = l.login
WHERE %(login)s::text IS NULL OR l.login = %(login)s ORDER BY l.login, l.owner, l.namespace

-- name: unbound_logins
-- Logins with the rights of pods that are in no row: `may_begin` takes each for the one that namespaces share.
SELECT r.rolname::text FROM pg_roles r
WHERE r.rolcanlogin AND NOT r.rolsuper AND NOT EXISTS (SELECT FROM perdure.logins l WHERE l.login = r.rolname)
  AND EXISTS (
      SELECT FROM pg_proc p CROSS JOIN aclexplode(p.proacl) a
      WHERE p.pronamespace = 'perdure'::regnamespace AND p.proname = 'begin' AND a.grantee NOT IN (0, p.proowner)
        AND pg_has_role(r.oid, a.grantee, 'MEMBER') AND NOT pg_has_role(r.oid, p.proowner, 'MEMBER')
  )
ORDER BY 1

-- name: bind_login
INSERT INTO perdure.logins (login, owner, namespace, purpose) VALUES (%(login)s, %(owner)s, %(namespace)s, %(purpose)s)
ON CONFLICT (login, owner, namespace) DO UPDATE SET purpose = excluded.purpose

-- name: lock_login
-- One that is locked already is locked no second time.
UPDATE perdure.logins SET purpose = 'locked', locks = locks + 1
WHERE login = %(login)s AND (%(but_owner)s::text IS NULL OR owner <> %(but_owner)s) AND purpose <> 'locked'

-- name: own_settings
SELECT d.datname, split_part(one, '=', 1) FROM pg_db_role_setting s
JOIN pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_database d ON d.oid = s.setdatabase
CROSS JOIN unnest(s.setconfig) AS one
LEFT JOIN pg_settings p ON lower(p.name) = lower(split_part(one, '=', 1))
WHERE r.rolname = %(login)s AND coalesce(p.context, 'user') = 'user'

-- name: end_sessions
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY (%(logins)s) AND pid <> pg_backend_pid()

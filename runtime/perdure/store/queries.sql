-- Statements of clients, workers and operators, by name. Processes that run an attempt use the functions of the schema instead.

-- name: versions
SELECT schema_version, oldest_client, store_id FROM perdure.meta

-- name: insert_run
WITH inserted AS (
    INSERT INTO perdure.runs (id, owner, namespace, name, entrypoint, input, source, backoff_limit, deadline_seconds, suspend)
    VALUES (%(id)s, %(owner)s, %(namespace)s, %(name)s, %(entrypoint)s, %(input)s, %(source)s, %(backoff_limit)s, %(deadline_seconds)s, %(suspend)s)
    ON CONFLICT DO NOTHING
    RETURNING id, owner
)
SELECT id, pg_notify(perdure.channel('work', owner), id::text) FROM inserted

-- name: find_run
SELECT id, entrypoint, input::text AS input FROM perdure.runs WHERE owner = %(owner)s AND namespace = %(namespace)s AND name = %(name)s

-- name: claim_run
-- Compare and set, for one run, on the attempt that the claimer observed; a lost answer is found out by the token.
WITH claimed AS (
    UPDATE perdure.runs
    SET attempt = attempt + 1, claim = %(token)s, begun = false, process = NULL, state = 'pending'
    WHERE id = %(run)s AND attempt = %(observed)s AND state IN ('pending', 'running', 'waiting') AND NOT cancel
    RETURNING id, attempt
), noted AS (
    INSERT INTO perdure.attempts (run_id, attempt, claim) SELECT id, attempt, %(token)s FROM claimed
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

-- name: claimed_attempt
SELECT attempt FROM perdure.runs WHERE id = %(run)s AND claim = %(token)s

-- name: claim_runs
-- Claim and begin as many pending runs as there are tokens, in one statement.
WITH free AS (
    SELECT id FROM perdure.runs
    WHERE owner = %(owner)s AND state = 'pending' AND claim IS NULL AND NOT suspend AND entrypoint = ANY (%(entrypoints)s)
      AND (available <= clock_timestamp() OR id = ANY (%(due)s))
    ORDER BY available LIMIT cardinality(%(tokens)s::uuid[])
    FOR UPDATE SKIP LOCKED
), numbered AS (
    SELECT id, (row_number() OVER ())::integer AS n FROM free
), claimed AS (
    UPDATE perdure.runs r
    SET state = 'running', attempt = r.attempt + 1, claim = (%(tokens)s::uuid[])[n.n], process = %(process)s, begun = true,
        timeline = left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), started = coalesce(r.started, clock_timestamp())
    FROM numbered n WHERE r.id = n.id
    RETURNING r.id, r.claim, r.attempt, r.name, r.entrypoint, r.input::text AS input, r.crashes, r.cancel,
              r.deadline_seconds - extract(epoch FROM clock_timestamp() - r.started)::double precision AS deadline_in
), noted AS (
    INSERT INTO perdure.attempts (run_id, attempt, claim, process, begun)
    SELECT id, attempt, claim, %(where)s, clock_timestamp() FROM claimed
)
SELECT * FROM claimed

-- name: claimed_runs
-- What `claim_runs` answered, where its answer was lost.
SELECT r.id, r.claim, r.attempt, r.name, r.entrypoint, r.input::text AS input, r.crashes, r.cancel,
       r.deadline_seconds - extract(epoch FROM clock_timestamp() - r.started)::double precision AS deadline_in
FROM perdure.runs r WHERE r.claim = ANY (%(tokens)s::uuid[]) AND r.process = %(process)s

-- name: delayed_runs
-- Pending runs that wait out a delay; a worker waits no longer than `delay` by its own clock, whatever the server's says.
SELECT id, attempt, delay, extract(epoch FROM available - clock_timestamp())::double precision AS due_in
FROM perdure.runs
WHERE owner = %(owner)s AND state = 'pending' AND claim IS NULL AND NOT suspend AND available > clock_timestamp() AND entrypoint = ANY (%(entrypoints)s)
ORDER BY available LIMIT 1000

-- name: register_process
INSERT INTO perdure.processes (id, owner, host, pid, pid_started) VALUES (%(id)s, %(owner)s, %(host)s, %(pid)s, %(pid_started)s)
ON CONFLICT DO NOTHING

-- name: worker_heartbeat
-- Raise a worker's counter; the runs of it whose cancellation is asked for.
WITH beaten AS (
    UPDATE perdure.processes SET counter = counter + 1 WHERE id = %(process)s
)
SELECT id FROM perdure.runs WHERE process = %(process)s AND state = 'running' AND cancel

-- name: unregister_process
DELETE FROM perdure.processes WHERE id = %(id)s

-- name: watched_processes
-- Processes, other than the asking one, that hold running runs of this owner.
SELECT p.id, p.host, p.pid, p.pid_started, p.counter FROM perdure.processes p
WHERE p.owner = %(owner)s AND p.id <> %(process)s
  AND EXISTS (SELECT FROM perdure.runs r WHERE r.process = p.id AND r.state = 'running')

-- name: release_process
-- Give back all runs of a process that was seen dead: only if its counter still stands where it was seen.
SELECT perdure.hand_back(r.id, r.claim, %(ending)s, NULL, NULL, %(detail)s)
FROM (
    SELECT r.id, r.claim FROM perdure.runs r
    WHERE r.process = (SELECT p.id FROM perdure.processes p WHERE p.id = %(process)s AND p.counter = %(counter)s FOR UPDATE)
      AND r.state = 'running'
    ORDER BY r.id
) r

-- name: request_cancel
-- A run that no process holds ends at once; one that is held is asked to.
WITH asked AS (
    UPDATE perdure.runs
    SET cancel = true,
        state = CASE WHEN claim IS NULL THEN 'cancelled' ELSE state END,
        finished = CASE WHEN claim IS NULL THEN clock_timestamp() END
    WHERE id = %(run)s AND state IN ('pending', 'running', 'waiting')
    RETURNING id, owner, state, process
)
SELECT state, pg_notify(perdure.channel(CASE state WHEN 'cancelled' THEN 'done' ELSE 'work' END, owner), id::text) FROM asked

-- name: run_ending
SELECT state, result::text AS result, error::text AS error FROM perdure.runs WHERE id = %(run)s

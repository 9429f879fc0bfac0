-- The store's tables. Pods reach them through the functions in ../functions alone.

CREATE TABLE perdure.meta (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    store_id       uuid    NOT NULL DEFAULT gen_random_uuid(),
    schema_version integer NOT NULL,
    oldest_client  integer NOT NULL
);

CREATE TABLE perdure.runs (
    id               uuid PRIMARY KEY,
    owner            text NOT NULL,
    namespace        text NOT NULL DEFAULT '',
    name             text NOT NULL,
    entrypoint       text NOT NULL,
    input            json NOT NULL,
    source           json,
    -- The file of its code, where the database is one person's and several projects share it.
    origin           text,
    state            text NOT NULL DEFAULT 'pending'
                     CONSTRAINT runs_state CHECK (state IN ('pending', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    attempt          integer NOT NULL DEFAULT 0,
    -- What the attempt that holds the run is known by; its pod's spec shows it.
    claim            uuid,
    -- Secret: what `begin` gave for the claim, and the login that began. Each write of the attempt's process is compared with both.
    token            uuid,
    login            text,
    -- Secret while it runs: the process drew it, and proves by it that a begin was its own.
    process          uuid,
    begun            boolean NOT NULL DEFAULT false,
    timeline         text,
    cancel           boolean NOT NULL DEFAULT false,
    suspend          boolean NOT NULL DEFAULT false,
    backoff_limit    integer NOT NULL DEFAULT 6,
    crashes          integer NOT NULL DEFAULT 0,
    delay            double precision NOT NULL DEFAULT 0,
    available        timestamptz NOT NULL DEFAULT now(),
    deadline_seconds double precision,
    result           json,
    error            json,
    created          timestamptz NOT NULL DEFAULT now(),
    started          timestamptz,
    finished         timestamptz,
    disruptions      integer NOT NULL DEFAULT 0,
    -- Since when the run's Workflow is known to be deleted.
    gone             timestamptz,
    -- Secret: what `perdure.random()` and `perdure.uuid4()` of this run are derived from.
    seed             uuid NOT NULL DEFAULT gen_random_uuid(),
    -- How long its code may clean up after a cancellation, as its workflow declares it.
    cleanup_seconds  double precision,
    -- Since when its deadline counts. A cluster's run: since it was taken on, or was last resumed; others: since their first begin.
    deadline_from    timestamptz,
    -- How many disruptions in a row, without a new checkpoint between them, it survives.
    disruption_limit integer NOT NULL DEFAULT 20,
    -- What the run's own clock showed, in microseconds since `started`, and when, by the store's clock. Both are written together, at each
    -- begin, so that the clock goes on while nobody runs; NULL before the first. (`clock_reading`)
    clock            bigint NOT NULL DEFAULT 0,
    clock_at         timestamptz,
    CONSTRAINT runs_token CHECK (begun = (token IS NOT NULL))
);

-- A queue's run is known by the name that its user gave it. A cluster's is known by its UID: a name may come back there.
CREATE UNIQUE INDEX runs_name ON perdure.runs (owner, namespace, name) WHERE owner LIKE 'queue:%';
-- In which order they are claimed, and which wait out a delay.
CREATE INDEX runs_queue ON perdure.runs (owner, created) WHERE state = 'pending';
CREATE INDEX runs_pending ON perdure.runs (owner, available) WHERE state = 'pending';
CREATE INDEX runs_live ON perdure.runs (process) WHERE state = 'running';
CREATE INDEX runs_created ON perdure.runs (owner, created);
-- A queue's runs are in none of these: they cost a worker nothing.
CREATE INDEX runs_active ON perdure.runs (owner) WHERE owner LIKE 'cluster:%' AND state IN ('pending', 'running', 'waiting');
CREATE INDEX runs_kept ON perdure.runs (owner) WHERE owner LIKE 'cluster:%' AND gone IS NULL;
CREATE INDEX runs_gone ON perdure.runs (owner, gone) WHERE gone IS NOT NULL;

-- No foreign key: it would lock the run's row a second time for each checkpoint.
CREATE TABLE perdure.steps (
    run_id   uuid    NOT NULL,
    step_key text    COLLATE "C" NOT NULL,
    -- What it is the checkpoint of: `CallKind` has the letters. A byte, here because it mostly fits into the padding before the next column.
    kind     "char"  NOT NULL DEFAULT 's',
    ordinal  integer NOT NULL,
    name     text    NOT NULL,
    attempt  integer NOT NULL,
    tries    integer NOT NULL,
    clock    bigint  NOT NULL,
    result   json,
    error    json,
    started  timestamptz NOT NULL,
    finished timestamptz NOT NULL,
    -- Of the call's arguments; NULL where the step does without.
    fingerprint uuid,
    PRIMARY KEY (run_id, step_key)
);

CREATE TABLE perdure.attempts (
    run_id  uuid    NOT NULL,
    attempt integer NOT NULL,
    claim   uuid    NOT NULL,
    -- Once it has ended: by it a process is told again that it ended its own attempt.
    token   uuid,
    process text,
    node    text,
    image   text,
    claimed timestamptz NOT NULL DEFAULT now(),
    begun   timestamptz,
    ended   timestamptz,
    ending  text,
    code    integer,
    signal  integer,
    detail  text,
    -- The run's clock at its begin.
    clock   bigint,
    PRIMARY KEY (run_id, attempt)
);

-- Rewritten at every heartbeat: narrow, half empty and without another index, so that each rewrite stays in its page.
-- `claim` is that of the one attempt that a pod's process runs, and its row goes with it; a worker's process has none.
CREATE TABLE perdure.processes (
    id           uuid PRIMARY KEY,
    owner        text NOT NULL,
    claim        uuid,
    host         text NOT NULL,
    pid          integer NOT NULL,
    pid_started  bigint NOT NULL,
    counter      bigint NOT NULL DEFAULT 0,
    steps_done   bigint NOT NULL DEFAULT 0,
    current_step text
) WITH (fillfactor = 50);

-- The logins that are bound to a namespace, and for what; only an administrator writes it. A `reader` reads the namespace's runs, by
-- the functions `own_...`; a login for `pods` begins them, as `may_begin` says. One that is `locked` does neither any more.
CREATE TABLE perdure.logins (
    login     text NOT NULL,
    owner     text NOT NULL,
    namespace text NOT NULL,
    purpose   text NOT NULL CONSTRAINT logins_purpose CHECK (purpose IN ('reader', 'pods', 'locked')),
    -- How often it was locked: what a password was derived from before opens nothing afterwards.
    locks     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (login, owner, namespace)
);

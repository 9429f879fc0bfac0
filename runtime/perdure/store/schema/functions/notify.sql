-- Granted to: operator
-- Tell an owner's clients of a run, if there is room: a full queue fails the commit of whoever notifies, which nothing can catch, and
-- a hint must never fail a write. Any login can fill it: it listens, holds a transaction open, and nobody's notifications are
-- dropped any more. Whoever hears of nothing looks now and then. Half of the queue is left for all that commits in between.
CREATE OR REPLACE FUNCTION perdure.notify(kind text, owner text, run uuid) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF pg_catalog.pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_catalog.pg_notify(perdure.channel(kind, owner), run::text);
    END IF;
END
$$;

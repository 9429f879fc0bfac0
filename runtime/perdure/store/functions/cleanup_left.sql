-- Granted to: operator
-- Seconds for which a run may still clean up once it is cancelled, by the store's clock since its cancellation reached it: what it
-- declared before that, 0 or less when they are over, NULL where there is nothing to clean up or nobody declared it.
CREATE OR REPLACE FUNCTION perdure.cleanup_left(r perdure.runs) RETURNS double precision
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN r.started IS NOT NULL AND r.cleanup_seconds IS NOT NULL THEN r.cleanup_seconds - coalesce(
        (SELECT extract(epoch FROM clock_timestamp() - s.finished)::double precision FROM perdure.steps s
         WHERE s.run_id = r.id AND s.step_key = 'perdure.cancel'), 0) END
$$;

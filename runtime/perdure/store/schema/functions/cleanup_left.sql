-- Granted to: operator
-- Seconds for which a run may still clean up once it is cancelled, by the store's clock since its cancellation reached it: what it
-- declared before that, 0 or less when they are over, NULL where there is nothing to clean up or nobody declared it.
CREATE OR REPLACE FUNCTION perdure.cleanup_left(run uuid, started_ timestamptz, seconds double precision) RETURNS double precision
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN started_ IS NOT NULL AND seconds IS NOT NULL THEN seconds - coalesce(
        (SELECT extract(epoch FROM clock_timestamp() - s.finished)::double precision FROM perdure.steps s
         WHERE s.run_id = run AND s.step_key = 'perdure.cancel'), 0) END
$$;

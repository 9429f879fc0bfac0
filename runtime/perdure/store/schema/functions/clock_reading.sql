-- Granted to: operator
-- A run's clock now, in microseconds since its first attempt began: it counts the time in which no process ran. `clock_` is what it
-- showed at `at`, by the store's clock; where that was set back since, or another server took over, the newest checkpoint says more.
-- At most 1,000 years: a checkpoint holds what its process wrote, and must not make the sum too large for its type.
CREATE OR REPLACE FUNCTION perdure.clock_reading(run uuid, clock_ bigint, at timestamptz) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN at IS NULL THEN 0 ELSE least(31557600000000000, greatest(
        clock_ + greatest(0, (extract(epoch FROM clock_timestamp() - at) * 1000000)::bigint),
        (SELECT max(s.clock) FROM perdure.steps s WHERE s.run_id = run))) END
$$;

-- Granted to: nobody
-- How many disruptions in a row, without a new checkpoint between them, a run survives.
CREATE OR REPLACE FUNCTION perdure.disruption_limit() RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$ SELECT 20 $$;

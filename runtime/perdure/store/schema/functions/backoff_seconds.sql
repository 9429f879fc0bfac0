-- Granted to: nobody
-- The delay before the next attempt, by the number of crashes or disruptions in a row: 0, 0, 1, 2, 4 ... 300 s.
CREATE OR REPLACE FUNCTION perdure.backoff_seconds(ended_in_a_row integer) RETURNS double precision
LANGUAGE sql IMMUTABLE
AS $$ SELECT CASE WHEN ended_in_a_row < 2 THEN 0 ELSE least(300, 2 ^ (least(ended_in_a_row, 20) - 2)) END $$;

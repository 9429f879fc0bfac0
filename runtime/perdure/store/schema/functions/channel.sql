-- Granted to: operator
-- The channel on which an owner's clients listen: `work` for runs to claim, `done` for runs that have ended.
-- Anybody with a login may listen and notify on a channel whose name he knows, so names depend on what pods cannot read.
CREATE OR REPLACE FUNCTION perdure.channel(kind text, owner text) RETURNS text
LANGUAGE sql STABLE
AS $$ SELECT 'perdure_' || kind || '_' || left(md5(m.store_id::text || owner), 16) FROM perdure.meta m $$;

"""Makes of the Perdure that is installed the release after it: one more migration, which only adds."""

from __future__ import annotations

from pathlib import Path

from perdure.store.schema import versions

BEFORE = versions.SCHEMA_VERSION
AFTER = BEFORE + 1
FILE = Path(versions.__file__)
MIGRATION = f'''
from alembic import op

revision = "{AFTER:04}"
down_revision = "{BEFORE:04}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql("""
        ALTER TABLE perdure.runs ADD COLUMN later text;
        ALTER TABLE perdure.steps ADD COLUMN later integer NOT NULL DEFAULT 0;
        CREATE TABLE perdure.later (run_id uuid PRIMARY KEY, what text);
        UPDATE perdure.meta SET schema_version = {AFTER};
    """)
'''

text = FILE.read_text()
here, there = f"\nSCHEMA_VERSION = {BEFORE}\n", f"\nSCHEMA_VERSION = {AFTER}\n"
if here not in text:
    raise SystemExit(f"{FILE} does not say {here.strip()}")
FILE.write_text(text.replace(here, there))
(FILE.parent / "migrations" / "versions" / f"schema_{AFTER:04}.py").write_text(MIGRATION)

"""What the operator needs: disruptions are counted, and runs remember since when their Workflow is gone."""

from __future__ import annotations

from importlib.resources import files

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and indices, and replace `hand_back`."""
    text = files("perdure.store").joinpath("migrations", "0002_operator.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(text)

"""What pods may hand to the functions has a bound."""

from __future__ import annotations

from importlib.resources import files

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace `checkpoint`, `checkpoints`, `begin` and `finish`."""
    text = files("perdure.store").joinpath("migrations", "0003_sizes.sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(text)

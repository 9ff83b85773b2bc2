"""What a person should know about a film that was made, beside its job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column of notices."""
    op.add_column("jobs", sa.Column("notices", sa.Text))


def downgrade() -> None:
    """Take it away again; what it says is lost."""
    with op.batch_alter_table("jobs") as table:
        table.drop_column("notices")

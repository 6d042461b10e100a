"""Labels of asynchronous runs: which state of a split chose the version, and with what chance.

Revision: 0003
Follows: 0002
Created: 2026-11-23 07:09:02.203911
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("engine_async_run", sa.Column("labels", sa.String(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("engine_async_run", "labels")

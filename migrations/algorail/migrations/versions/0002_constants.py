"""What an installation decides once, such as the key of the record's digests.

Revision: 0002
Follows: 0001
Created: 2026-11-23 07:00:12.430117
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "engine_constant",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_engine_constant")),
    )


def downgrade() -> None:
    op.drop_table("engine_constant")

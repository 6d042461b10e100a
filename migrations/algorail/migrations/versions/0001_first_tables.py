"""The first tables: algorithms, releases, keys, audit log, bundles and the durable queue.

Revision: 0001
Follows: nothing
Created: 2026-11-23 06:10:55.087527
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "engine_algorithm",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("archived_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_engine_algorithm")),
    )
    op.create_table(
        "engine_api_key",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
        sa.Column("last_used_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engine_api_key")),
        sa.UniqueConstraint("hash", name=op.f("uq_engine_api_key_hash")),
    )
    op.create_table(
        "engine_async_run",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("plan_hash", sa.String(), nullable=False),
        sa.Column("alias", sa.String(), nullable=False),
        sa.Column("variant", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("batch", sa.String(), nullable=False),
        sa.Column("trace", sa.String(), nullable=False),
        sa.Column("inputs", sa.LargeBinary(), nullable=False),
        sa.Column("output", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("available_ns", sa.BigInteger(), nullable=False),
        sa.Column("deadline_ns", sa.BigInteger(), nullable=True),
        sa.Column("lease_until_ns", sa.BigInteger(), nullable=True),
        sa.Column("heartbeat_ns", sa.BigInteger(), nullable=True),
        sa.Column("finished_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_engine_async_run")),
    )
    with op.batch_alter_table("engine_async_run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_engine_async_run_algorithm"), ["algorithm"], unique=False)
        batch_op.create_index(batch_op.f("ix_engine_async_run_batch"), ["batch"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_engine_async_run_status_available_ns"), ["status", "available_ns"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_engine_async_run_status_lease_until_ns"),
            ["status", "lease_until_ns"],
            unique=False,
        )

    op.create_table(
        "engine_audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engine_audit")),
    )
    with op.batch_alter_table("engine_audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_engine_audit_at_ns"), ["at_ns"], unique=False)

    op.create_table(
        "engine_bundle",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("archive", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_engine_bundle")),
    )
    op.create_table(
        "engine_idempotency",
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("route", "key", name=op.f("pk_engine_idempotency")),
    )
    with op.batch_alter_table("engine_idempotency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_engine_idempotency_expires_ns"), ["expires_ns"], unique=False)

    op.create_table(
        "engine_alias",
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("split", sa.LargeBinary(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["algorithm"], ["engine_algorithm.name"], name=op.f("fk_engine_alias_algorithm_engine_algorithm")
        ),
        sa.PrimaryKeyConstraint("algorithm", "name", name=op.f("pk_engine_alias")),
    )
    op.create_table(
        "engine_alias_history",
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("split", sa.LargeBinary(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["algorithm"],
            ["engine_algorithm.name"],
            name=op.f("fk_engine_alias_history_algorithm_engine_algorithm"),
        ),
        sa.PrimaryKeyConstraint("algorithm", "name", "epoch", name=op.f("pk_engine_alias_history")),
    )
    op.create_table(
        "engine_checkpoint",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["engine_async_run.run_id"],
            name=op.f("fk_engine_checkpoint_run_id_engine_async_run"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "node", name=op.f("pk_engine_checkpoint")),
    )
    op.create_table(
        "engine_draft",
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["algorithm"], ["engine_algorithm.name"], name=op.f("fk_engine_draft_algorithm_engine_algorithm")
        ),
        sa.PrimaryKeyConstraint("algorithm", name=op.f("pk_engine_draft")),
    )
    op.create_table(
        "engine_outbox",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["engine_async_run.run_id"],
            name=op.f("fk_engine_outbox_run_id_engine_async_run"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_engine_outbox")),
    )
    with op.batch_alter_table("engine_outbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_engine_outbox_created_ns"), ["created_ns"], unique=False)

    op.create_table(
        "engine_version",
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("plan_hash", sa.String(), nullable=False),
        sa.Column("contract", sa.LargeBinary(), nullable=False),
        sa.Column("change", sa.String(), nullable=False),
        sa.Column("bundle", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("archived_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["algorithm"],
            ["engine_algorithm.name"],
            name=op.f("fk_engine_version_algorithm_engine_algorithm"),
        ),
        sa.PrimaryKeyConstraint("algorithm", "version", name=op.f("pk_engine_version")),
    )
    with op.batch_alter_table("engine_version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_engine_version_plan_hash"), ["plan_hash"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("engine_version", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_engine_version_plan_hash"))

    op.drop_table("engine_version")
    with op.batch_alter_table("engine_outbox", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_engine_outbox_created_ns"))

    op.drop_table("engine_outbox")
    op.drop_table("engine_draft")
    op.drop_table("engine_checkpoint")
    op.drop_table("engine_alias_history")
    op.drop_table("engine_alias")
    with op.batch_alter_table("engine_idempotency", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_engine_idempotency_expires_ns"))

    op.drop_table("engine_idempotency")
    op.drop_table("engine_bundle")
    with op.batch_alter_table("engine_audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_engine_audit_at_ns"))

    op.drop_table("engine_audit")
    with op.batch_alter_table("engine_async_run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_engine_async_run_status_lease_until_ns"))
        batch_op.drop_index(batch_op.f("ix_engine_async_run_status_available_ns"))
        batch_op.drop_index(batch_op.f("ix_engine_async_run_batch"))
        batch_op.drop_index(batch_op.f("ix_engine_async_run_algorithm"))

    op.drop_table("engine_async_run")
    op.drop_table("engine_api_key")
    op.drop_table("engine_algorithm")

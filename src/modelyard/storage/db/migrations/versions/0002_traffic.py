"""deployments: traffic, lanes, autoscaling, canaries."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision. Rows that are there keep what they did: fixed replicas, a revision its own content."""
    with op.batch_alter_table("deployments") as table:
        table.add_column(sa.Column("lane", sa.String(), nullable=False, server_default="auto"))
        table.add_column(sa.Column("autoscale", sa.JSON(), nullable=True))
    with op.batch_alter_table("revisions") as table:
        table.add_column(sa.Column("content", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("traffic", sa.JSON(), nullable=False, server_default="{}"))
    op.execute("UPDATE revisions SET content = number")
    with op.batch_alter_table("replicas") as table:
        table.add_column(sa.Column("micros", sa.JSON(), nullable=False, server_default="{}"))
    for name, columns in (("deployments", ("lane",)), ("revisions", ("content", "traffic")), ("replicas", ("micros",))):
        with op.batch_alter_table(name) as table:
            for column in columns:
                table.alter_column(column, server_default=None)
    op.create_table(
        "canaries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("deployment", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("step_seconds", sa.Float(), nullable=False),
        sa.Column("least_requests", sa.Integer(), nullable=False),
        sa.Column("error_rate", sa.Float(), nullable=False),
        sa.Column("latency_ratio", sa.Float(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("baseline", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["deployment"], ["deployments.id"], name=op.f("fk_canaries_deployment_deployments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canaries")),
    )
    op.create_index(op.f("ix_canaries_deployment"), "canaries", ["deployment"])
    op.create_index(op.f("ix_canaries_organisation"), "canaries", ["organisation"])

"""configurations, choices of the catalogue, what tasks and runs say besides."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "configurations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configurations")),
        sa.UniqueConstraint(
            "organisation", "algorithm", "name", name=op.f("uq_configurations_organisation_algorithm_name")
        ),
    )
    op.create_index(op.f("ix_configurations_organisation"), "configurations", ["organisation"])
    op.create_table(
        "catalogue_choices",
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("default", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("organisation", "subject", name=op.f("pk_catalogue_choices")),
    )
    op.add_column("training_tasks", sa.Column("name", sa.String(), nullable=False, server_default=""))
    op.add_column("training_tasks", sa.Column("fixed", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("training_tasks", sa.Column("configuration", sa.String(), nullable=True))
    op.add_column("training_tasks", sa.Column("horizon", sa.Integer(), nullable=True))
    op.add_column("training_tasks", sa.Column("seed", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("training_tasks", sa.Column("search", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("training_tasks", sa.Column("metric", sa.String(), nullable=True))
    op.add_column("training_tasks", sa.Column("previous", sa.String(), nullable=True))
    op.create_index(op.f("ix_training_tasks_configuration"), "training_tasks", ["configuration"])
    op.create_index(op.f("ix_training_tasks_release"), "training_tasks", ["release"])
    op.create_index(op.f("ix_runs_release"), "runs", ["release"])
    op.add_column("runs", sa.Column("made", sa.JSON(none_as_null=True), nullable=True))
    _fix_every_parameter()


def _fix_every_parameter() -> None:
    """Tasks from before were given all their parameters, as far as anybody knows."""
    tasks = sa.table("training_tasks", sa.column("id"), sa.column("parameters", sa.JSON), sa.column("fixed", sa.JSON))
    connection = op.get_bind()
    for task, parameters in connection.execute(sa.select(tasks.c.id, tasks.c.parameters)).all():
        connection.execute(tasks.update().where(tasks.c.id == task).values(fixed=list(parameters)))

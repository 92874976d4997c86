"""batch predictions."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _owned() -> list[sa.Column[Any]]:
    return [
        sa.Column("organisation", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
    ]


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "prediction_files",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        *_owned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction_files")),
    )
    op.create_index(op.f("ix_prediction_files_organisation"), "prediction_files", ["organisation"])
    op.create_table(
        "batch_predictions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=True),
        sa.Column("release", sa.String(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.Column("file", sa.String(), nullable=True),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("output", sa.String(), nullable=False),
        sa.Column("on_error", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        *_owned(),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_batch_predictions_job_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_predictions")),
    )
    op.create_index(op.f("ix_batch_predictions_job"), "batch_predictions", ["job"])
    op.create_index(op.f("ix_batch_predictions_organisation"), "batch_predictions", ["organisation"])
    op.create_index(op.f("ix_batch_predictions_release"), "batch_predictions", ["release"])

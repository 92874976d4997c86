"""datasets: roles, rows' purposes and edits, history, uploads, releases by job."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
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
    op.add_column("datasets", sa.Column("roles", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("datasets", sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("samples", sa.Column("original", sa.String(), nullable=False, server_default=""))
    op.add_column("samples", sa.Column("table", sa.String(), nullable=False, server_default=""))
    op.add_column("samples", sa.Column("purposes", sa.String(), nullable=True))
    op.add_column("samples", sa.Column("counts", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("samples", sa.Column("problems", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("samples", sa.Column("job", sa.String(), nullable=True))
    op.add_column("releases", sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("releases", sa.Column("roles", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("releases", sa.Column("profile", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("releases", sa.Column("failure", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("releases", sa.Column("job", sa.String(), nullable=True))
    op.create_table(
        "row_edits",
        sa.Column("sample", sa.String(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("values", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["sample"], ["samples.id"], name=op.f("fk_row_edits_sample_samples")),
        sa.PrimaryKeyConstraint("sample", "row", name=op.f("pk_row_edits")),
    )
    op.create_table(
        "dataset_changes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        *_owned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_changes")),
    )
    op.create_index(op.f("ix_dataset_changes_dataset"), "dataset_changes", ["dataset"])
    op.create_index(op.f("ix_dataset_changes_organisation"), "dataset_changes", ["organisation"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("pieces", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        *_owned(),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.id"], name=op.f("fk_uploads_dataset_datasets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_dataset"), "uploads", ["dataset"])
    op.create_index(op.f("ix_uploads_organisation"), "uploads", ["organisation"])
    _fill_samples()


def _fill_samples() -> None:
    """Where the objects of files from before lie, and what their rows are for.

    No release from before is of any known revision: none is taken for that of today.
    """
    names = ("id", "dataset", "purpose", "rows", "original", "table")
    samples = sa.table("samples", *(sa.column(name) for name in names), sa.column("counts", sa.JSON))
    connection = op.get_bind()
    found = sa.select(samples.c.id, samples.c.dataset, samples.c.purpose, samples.c.rows)
    for sample, dataset, purpose, rows in connection.execute(found).all():
        folder = f"datasets/{dataset}/{sample}"
        values = {"original": f"{folder}/original", "table": f"{folder}/table.parquet", "counts": {purpose: rows}}
        connection.execute(samples.update().where(samples.c.id == sample).values(**values))
    connection.execute(sa.table("releases", sa.column("revision")).update().values(revision=-1))

"""Datasets from before rows had purposes of their own keep working."""

import json

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from modelyard.storage.db.engine import Database
from modelyard.storage.db.migrate import MIGRATIONS


def test_files_from_before_know_where_their_objects_lie(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        owned = {"organisation": "org_1", "created_at": "2024-01-01 00:00:00", "created_by": "usr_1"}
        insert(connection, "datasets", id="ds_1", name="churn", scenario="x", description="", target="y", **owned)
        insert(
            connection, "samples", id="smp_1", dataset="ds_1", filename="a.csv", purpose="test", state="ready", size=9,
            sha256="", rows=7, profile="{}", **owned,
        )  # fmt: skip
        insert(
            connection, "releases", id="rel_1", dataset="ds_1", number=1, state="published", note="", manifest="[]",
            checksum="", rows=7, published_at="2024-01-01 00:00:00", **owned,
        )  # fmt: skip
        command.upgrade(config, "0007")
        sample = connection.execute(sa.text('SELECT original, "table", purposes, counts, problems FROM samples')).one()
        release = connection.execute(sa.text("SELECT revision, roles, profile FROM releases")).one()
    database.dispose()
    assert sample[:3] == ("datasets/ds_1/smp_1/original", "datasets/ds_1/smp_1/table.parquet", None)
    assert [json.loads(value) for value in sample[3:]] == [{"test": 7}, []]
    assert release == (-1, "{}", "{}")


def insert(connection, table, **values):
    names = ", ".join(values)
    connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES (:{', :'.join(values)})"), values)

"""Rows that arrive one by one, as JSON: they become a small sample of the columns that the dataset has."""

# Names in SQL are quoted or numbered and values are parameters.
# ruff: noqa: S608

import hashlib
import shutil
from collections.abc import AsyncIterator
from typing import Any

import duckdb
import msgspec
from anyio import CapacityLimiter, to_thread

from modelyard.core import ids
from modelyard.core.folders import make_private
from modelyard.features.auth.operations import Principal
from modelyard.features.datasets import held, intake, operations, queries
from modelyard.features.datasets.contents.view import common
from modelyard.features.datasets.errors import BadValue
from modelyard.features.datasets.held import Held
from modelyard.features.datasets.importers.engine import connect, file, literal, write_parquet
from modelyard.features.datasets.profile import describe, quoted
from modelyard.features.datasets.schemas import Purpose
from modelyard.features.datasets.tables import SampleRow
from modelyard.features.datasets.values import checked
from modelyard.storage.db.engine import now as db_now
from modelyard.web.platform import Platform


async def add(
    platform: Platform,
    principal: Principal,
    key: str,
    rows: list[dict[str, Any]],
    purpose: Purpose,
    importing: CapacityLimiter,
) -> SampleRow:
    """Append rows to a dataset. The first ones of all say which columns there are. Raises BadValue, NotFound."""
    found = await to_thread.run_sync(_read, platform, principal, key)
    if found.samples:
        return await to_thread.run_sync(_append, platform, principal, found, rows, purpose)
    content = b"\n".join(msgspec.json.encode(row) for row in rows)

    async def body() -> AsyncIterator[bytes]:
        yield content

    name = "rows.jsonl"
    return await intake.receive(platform, principal, key, name, purpose, body(), len(content), importing)


def _read(platform: Platform, principal: Principal, key: str) -> Held:
    with platform.database.session(read_only=True) as session:
        return held.read(session, principal, key)


def _append(
    platform: Platform, principal: Principal, found: Held, rows: list[dict[str, Any]], purpose: Purpose
) -> SampleRow:
    types = _types(found)
    kept = [_checked(types, number, row) for number, row in enumerate(rows, 1)]
    sample_id = ids.new("smp")
    folder = f"datasets/{found.dataset.id}/{sample_id}"
    content = b"\n".join(msgspec.json.encode(row) for row in kept) + b"\n"
    work = make_private(make_private(platform.settings.data / "scratch") / sample_id)
    try:
        with connect(work, []) as connection:
            table = _table(connection, kept, types)
            write_parquet(connection, f"SELECT * FROM {table}", work / "t.parquet", columns=len(types), codec="zstd")
            described = describe(connection, f"read_parquet({file(work / 't.parquet')})")
            profile = msgspec.json.decode(msgspec.json.encode(described))
        platform.objects.put(f"{folder}/original", content)
        platform.objects.put(f"{folder}/table.parquet", work / "t.parquet")
        with platform.database.session() as session:
            dataset = operations.get(session, principal, found.dataset.id)
            number = 1 + sum(row.filename.startswith("rows-") for row in queries.all_samples(session, dataset.id))
            return operations.add_sample(
                session, dataset, sample_id=sample_id, filename=f"rows-{number}.jsonl", purpose=purpose,
                size=len(content), sha256=hashlib.sha256(content).hexdigest(), profile=profile,
                original=f"{folder}/original", table=f"{folder}/table.parquet", problems=(),
                created_by=principal.user, organisation=principal.organisation, now=db_now(session),
            )  # fmt: skip
    except BaseException:
        platform.objects.delete_all(folder)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _types(found: Held) -> dict[str, str]:
    """The columns of a dataset; of one that has no values in some file the other files tell the type."""
    types: dict[str, str] = {}
    blank: dict[str, str] = {}
    for sample in found.samples:
        for column in sample.profile["columns"]:
            name, kind = column["name"], column["type"]
            if column["distinct"]:
                types[name] = common(types.get(name, kind), kind)
            else:
                blank[name] = kind
    order = dict.fromkeys(column["name"] for sample in found.samples for column in sample.profile["columns"])
    return {name: types.get(name) or blank[name] for name in order}


def _checked(types: dict[str, str], number: int, row: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(row) - set(types))
    if unknown:
        raise BadValue(
            f"Row {number} has {unknown[0]!r}, which is no column of this dataset. It has "
            f"{', '.join(list(types)[:20])}.",
            fields=[{"field": unknown[0], "row": number, "message": "no such column"}],
        )
    try:
        kept = {name: checked(name, kind, row.get(name)) for name, kind in types.items()}
    except BadValue as error:
        fields = [{**field, "row": number} for field in error.fields]
        raise BadValue(f"Row {number}: {error.message}", fields=fields) from None
    if all(value is None for value in kept.values()):
        raise BadValue(f"Row {number} is empty. Give at least one value.", fields=[{"row": number, "message": "empty"}])
    return kept


def _table(connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], types: dict[str, str]) -> str:
    """The rows as a table of these columns: names in SQL are quoted, values a parameter."""
    shape = {f"c{place}": kind for place, kind in enumerate(types.values())}
    flat = [dict(zip(shape, row.values(), strict=True)) for row in rows]
    document = literal(msgspec.json.encode([shape]).decode())
    connection.execute(
        f"CREATE TEMP TABLE given AS SELECT unnest(from_json(?, {document}), recursive := true)",
        [msgspec.json.encode(flat).decode()],
    )
    chosen = ", ".join(f"c{place} AS {quoted(name)}" for place, name in enumerate(types))
    return f"(SELECT {chosen} FROM given)"

"""What every importer promises, over all of them: it knows its own files, and refuses the others in plain words."""

import csv
import io
import json
from pathlib import Path

import duckdb
import pytest

from fixtures.workbook import write_workbook
from modelyard.core.errors import Invalid
from modelyard.features.datasets.importers.base import Work
from modelyard.features.datasets.importers.engine import connect
from modelyard.features.datasets.importers.run import REGISTRY, choose

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "ü"}]
JUNK = bytes(range(256)) * 64


def example(name: str, folder: Path) -> Path:
    """A small file of the importer's own kind."""
    path = folder / f"example.{name}"
    if name == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, ["a", "b"])
        writer.writeheader()
        writer.writerows(ROWS)
        path.write_text(text.getvalue(), newline="")
    elif name == "json_lines":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    elif name == "parquet":
        duckdb.sql(f"COPY (SELECT * FROM (VALUES (1, 'x'), (2, 'ü')) AS t(a, b)) TO '{path}' (FORMAT parquet)")
    elif name == "lines":
        path.write_text("1 x\n2 ü\n")
    elif name == "excel":
        write_workbook(path, [["a", "b"], *[list(row.values()) for row in ROWS]])
    return path


@pytest.mark.parametrize("name", REGISTRY.names())
def test_its_own_files_are_recognised_by_content_and_read(name: str, tmp_path: Path) -> None:
    path = example(name, tmp_path)
    importer = choose(path, "upload", next(iter(REGISTRY.get(name).scenarios), ""))
    assert type(importer) is REGISTRY.get(name)
    with connect(tmp_path, [path]) as connection:
        draft = importer.read(path, Work(connection, tmp_path, path.name, 10))
        rows = connection.execute(
            f"SELECT {', '.join(f'{column.value}::VARCHAR' for column in draft.columns)} FROM {draft.table}"
        ).fetchall()
    if name == "lines":
        assert rows == [("1 x",), ("2 ü",)]
        return
    assert [column.name for column in draft.columns] == ["a", "b"]
    assert rows == [("1", "x"), ("2", "ü")]


@pytest.mark.parametrize("name", REGISTRY.names())
def test_junk_is_refused_in_plain_words(name: str, tmp_path: Path) -> None:
    path = tmp_path / "junk"
    path.write_bytes(JUNK)
    importer = REGISTRY.get(name)()
    assert importer.sniff(JUNK, "junk") == 0
    with connect(tmp_path, [path]) as connection, pytest.raises(Invalid) as caught:
        importer.read(path, Work(connection, tmp_path, path.name, 10))
    assert len(caught.value.message) < 400
    assert "Error" not in caught.value.message


@pytest.mark.parametrize("name", [name for name in REGISTRY.names() if name != "lines"])
def test_too_many_columns_are_refused(name: str, tmp_path: Path) -> None:
    path = example(name, tmp_path)
    with connect(tmp_path, [path]) as connection, pytest.raises(Invalid) as caught:
        REGISTRY.get(name)().read(path, Work(connection, tmp_path, path.name, 1))
    assert caught.value.code == "too_many_columns"

"""Workbooks: the first sheet that holds something."""

import datetime as dt
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.features.datasets.importers.errors import DuplicateColumns, EmptyFile, NoHeader, NotATable, Unreadable

Import = Callable[..., Any]
Workbook = Callable[..., Path]


def test_cells_keep_their_types(imported: Import, workbook: Workbook) -> None:
    header = ["name", "count", "price", "truth", "day", "zip", "mixed"]
    rows = [["a", 1, 1.5, True, (45365,), "01234", 1], ["b", 2, None, False, (45366,), "99999", "NA"]]
    got = imported(workbook([header, *rows]), "book.xlsx")
    assert list(got.types.values()) == ["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "VARCHAR", "BIGINT"]
    assert got.rows == [
        ("a", 1, 1.5, True, dt.date(2024, 3, 14), "01234", 1),
        ("b", 2, None, False, dt.date(2024, 3, 15), "99999", None),
    ]


def test_empty_sheets_and_rows_are_passed_over(imported: Import, workbook: Workbook) -> None:
    path = workbook([], [["a", "b"], [1, "x"], [None, None], [2, 'quote "this", please\nand this']])
    assert imported(path, "book.xlsx").rows == [(1, "x"), (2, 'quote "this", please\nand this')]


def test_the_content_counts_not_the_name(imported: Import, workbook: Workbook) -> None:
    assert imported(workbook([["a"], [1]]), "upload").rows == [(1,)]
    assert imported("a,b\n1,2\n", "really-csv.xlsx").rows == [(1, 2)]


def test_what_is_wrong_is_told(imported: Import, workbook: Workbook) -> None:
    with pytest.raises(EmptyFile, match="no sheet with cells"):
        imported(workbook([], []), "book.xlsx")
    with pytest.raises(DuplicateColumns):
        imported(workbook([["a", "a"], [1, 2]]), "book.xlsx")
    with pytest.raises(NoHeader):
        imported(workbook([[1, 2], [3, 4]]), "book.xlsx")


def test_a_damaged_workbook_is_told(imported: Import, workbook: Workbook) -> None:
    content = workbook([["a", "b"], *[[number, "x"] for number in range(2000)]]).read_bytes()
    for damaged in (
        content[: len(content) // 2],
        content[:200] + bytes(500) + content[700:],
        b"PK\x03\x04" + bytes(99),
    ):
        with pytest.raises(Unreadable, match="workbook"):
            imported(damaged, "book.xlsx")
    with pytest.raises(Unreadable, match="workbook"):
        imported(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "old.xls")


def test_a_workbook_that_unpacks_to_too_much_is_refused(imported: Import, tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as entry:
            for _ in range(1100):
                entry.write(bytes(1 << 20))
    assert path.stat().st_size < 5 << 20
    with pytest.raises(Unreadable, match="Save the sheet as CSV"):
        imported(path, "bomb.xlsx")


def test_other_documents_of_office_are_no_tables(imported: Import, tmp_path: Path) -> None:
    path = tmp_path / "letter.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w/>")
    with pytest.raises(NotATable, match="ZIP"):
        imported(path, "letter.docx")

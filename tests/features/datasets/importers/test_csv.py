"""CSV as people have it: delimiters, quotes, encodings, line ends, headers."""

from collections.abc import Callable
from typing import Any

import pytest

from modelyard.features.datasets.importers.errors import (
    BadEncoding,
    DuplicateColumns,
    EmptyFile,
    NoHeader,
    NoRows,
    NotATable,
    RaggedRows,
    TooManyColumns,
    Unreadable,
)

Import = Callable[..., Any]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(imported: Import, delimiter: str) -> None:
    lines = ["name,size,note", "a,1,x y", "b,2,", 'c,3,"q,;\t|"']
    got = imported("\n".join(line if '"' in line else line.replace(",", delimiter) for line in lines[:3]) + "\n")
    assert got.types == {"name": "VARCHAR", "size": "BIGINT", "note": "VARCHAR"}
    assert got.rows == [("a", 1, "x y"), ("b", 2, None)]


def test_quoted_values_hold_delimiters_quotes_and_lines(imported: Import) -> None:
    got = imported('a,b\n1,"x, ""y"""\n2,"two\nlines"\n3,5" pipe\n4, "after a blank, too"\n')
    assert got.column("b") == ['x, "y"', "two\nlines", '5" pipe', "after a blank, too"]


def test_single_quotes_and_backslashes_are_understood(imported: Import) -> None:
    assert imported("a;b\n1;'x;y'\n2;'z'\n").column("b") == ["x;y", "z"]
    assert imported('a,b\n1,"say \\"hi\\", please"\n2,"z"\n').column("b") == ['say "hi", please', "z"]


def test_an_apostrophe_is_no_quote(imported: Import) -> None:
    assert imported("name,n\nO'Brien,1\nD'Arcy,2\n").column("name") == ["O'Brien", "D'Arcy"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_ends_are_read(imported: Import, end: str) -> None:
    assert imported(end.join(["a,b", "1,2", "3,4", ""])).rows == [(1, 2), (3, 4)]


def test_mixed_line_ends_and_blank_lines_are_read(imported: Import) -> None:
    assert imported('a,b\n1,2\r\n"3",4\n\n\n5,6').rows == [(1, 2), (3, 4), (5, 6)]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
def test_encodings_that_are_certain_are_read(imported: Import, encoding: str) -> None:
    text = "Straße,Größe\nMüller-Lüdenscheidt,1\nCafé Noël à Orléans,2\n" + "plain,3\n" * 50
    got = imported(text.encode(encoding))
    assert list(got.types) == ["Straße", "Größe"]
    assert got.column("Straße")[:2] == ["Müller-Lüdenscheidt", "Café Noël à Orléans"]


def test_the_signs_of_windows_are_read(imported: Import) -> None:
    got = imported("price,note\n5 €,it’s “good” – really…\n".encode("cp1252"))
    assert got.rows == [("5 €", "it’s “good” – really…")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("имя,n\nВладимир Ильич,1\nАнна Каренина,2\n".encode("cp1251"), "byte 0, line 1"),
        ("名前,n\n東京都,1\n大阪府,2\n".encode("shift-jis"), "byte 0, line 1"),
        ("name,n\nŁukasz Pawłowski,1\nMałgorzata,2\n".encode("cp1250"), "byte 7, line 2"),
        ("naïve,n\ncafé,1\n".encode() + b"bad\xffbyte,2\n", "byte 20, line 3"),
        ("a,b\n1,ü\n".encode("utf-16")[:-1], "line 2"),
    ],
)
def test_an_uncertain_encoding_is_told_with_its_place(imported: Import, content: bytes, told: str) -> None:
    with pytest.raises(BadEncoding, match=told) as caught:
        imported(content)
    assert "Save it as UTF-8" in caught.value.message
    assert {"byte", "line"} <= set(caught.value.detail)


def test_a_wrong_byte_far_below_is_told(imported: Import) -> None:
    line = "wörd,1\n".encode()
    with pytest.raises(BadEncoding, match=r"line 300,002\)") as caught:
        imported(b"a,b\n" + line * 300_000 + b"\xff,2\n")
    assert caught.value.detail["byte"] == 4 + len(line) * 300_000


@pytest.mark.parametrize("content", [b"", b"   \n\r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n"])
def test_an_empty_file_is_told(imported: Import, content: bytes) -> None:
    with pytest.raises(EmptyFile):
        imported(content)


def test_a_header_alone_is_told(imported: Import) -> None:
    for content in ("a,b\n", "a,b", "a\n"):
        with pytest.raises(NoRows, match="at least one row"):
            imported(content)


@pytest.mark.parametrize(
    "content",
    [
        "1,2,3\n4,5,6\n",
        "5.1,3.5,1.4,0.2,setosa\n4.9,3.0,1.4,0.2,setosa\n",
        "1,male,22\n2,female,38\n3,male,26\n",
        "2024-01-01,3\n2024-01-02,4\n",
        "7\n8\n",
    ],
)
def test_a_missing_header_is_told(imported: Import, content: str) -> None:
    with pytest.raises(NoHeader, match="Add a row with the names"):
        imported(content)


def test_years_may_be_names(imported: Import) -> None:
    assert list(imported("country,2019,2020\nFrance,1,2\nSpain,3,4\n").types) == ["country", "2019", "2020"]


def test_names_are_trimmed_filled_in_and_kept(imported: Import) -> None:
    got = imported(f' a b ,,"x ""y"" \n z","{"n" * 300}",SELECT\n1,2,3,4,5\n')
    assert list(got.types) == ["a b", "column_2", 'x "y" z', "n" * 256, "SELECT"]
    assert got.rows == [(1, 2, 3, 4, 5)]


def test_duplicate_names_are_named(imported: Import) -> None:
    with pytest.raises(DuplicateColumns, match="'age', 'Age'") as caught:
        imported("id,age,name,Age\n1,2,x,3\n")
    assert caught.value.detail == {"columns": ["age", "Age"]}
    with pytest.raises(DuplicateColumns, match="'column_2'"):
        imported("column_2,,c\n1,2,3\n")


def test_too_many_columns_are_counted(imported: Import) -> None:
    header, row = ",".join(f"c{number}" for number in range(10_000)), ",".join(["1"] * 10_000)
    with pytest.raises(TooManyColumns, match=r"10,000 columns, 5,000 are allowed"):
        imported(f"{header}\n{row}\n")
    with pytest.raises(TooManyColumns) as caught:
        imported("a,b,c\n1,2,3\n", limit=2)
    assert caught.value.detail == {"columns": 3, "limit": 2}


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        ("a,b,c\n1,2,3\n4,5\n", 3, 2),
        ("a,b,c\n1,2,3\n4,5,6,7\n8,9,10\n", 3, 4),
        ('a,b\n1,"two\nlines"\n2,3,4\n', 4, 3),
        ("a,b\n" + "1,2\n" * 5000 + "1,2,3\n", 5002, 3),
        ("Report of May\na,b\n1,2\n3,4\n", 2, 2),
    ],
)
def test_a_ragged_row_is_told_with_its_line(imported: Import, content: str, line: int, found: int) -> None:
    if content.startswith("Report"):
        # The title is taken for the only column's name, so every comma below belongs to a value.
        assert list(imported(content).types) == ["Report of May"]
        return
    with pytest.raises(RaggedRows, match=f"Line {line:,} has {found} values") as caught:
        imported(content)
    assert caught.value.detail["line"] == line
    assert caught.value.detail["found"] == found


def test_an_open_quote_is_told_with_its_line(imported: Import) -> None:
    with pytest.raises((Unreadable, RaggedRows), match="Line 3"):
        imported('a,b\n1,2\n3,"never closed\n5,6\n7,8\n')


def test_one_row_and_one_column_are_a_table(imported: Import) -> None:
    assert imported("a\n1").rows == [(1,)]
    got = imported("text\nhello, world\nsome; more\nplain\n")
    assert got.column("text") == ["hello, world", "some; more", "plain"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100), "PNG"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(100), "JPEG"),
        (b"<!doctype html>\n<html><body>a,b\n1,2</body></html>", "web page"),
        (b"  <?xml version='1.0'?><a/>", "web page or XML"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + bytes(range(256)), "gzip"),
        (b"PK\x03\x04\x14\0\0\0" + b"holiday.jpg" + bytes(range(256)), "ZIP"),
        (bytes(range(256)) * 20, "no table"),
        (b"a,b\n1,2\n" + b"3,4\n" * 100_000 + b"\0" * 10, "zero byte"),
        (b"This is a letter, dear reader, and it goes on.\nIt has lines but no columns at all here\n", "no table|text"),
    ],
)
def test_what_is_no_table_is_told_by_its_kind(imported: Import, content: bytes, told: str) -> None:
    with pytest.raises(NotATable, match=told):
        imported(content)


def test_a_name_that_means_something_to_a_pattern_is_just_a_name(imported: Import, tmp_path: Any) -> None:
    path = tmp_path / "odd [1]*?'name'.csv"
    path.write_text("a,b\n1,2\n")
    assert imported(path).rows == [(1, 2)]

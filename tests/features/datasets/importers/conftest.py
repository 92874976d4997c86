"""Files as people upload them, and what becomes of them."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import duckdb
import pytest

from modelyard.features.datasets.importers.run import import_file
from modelyard.features.datasets.profile import ColumnProfile, Profile


class Imported(NamedTuple):
    """The canonical table as rows, and its profile."""

    rows: list[tuple[Any, ...]]
    profile: Profile

    @property
    def types(self) -> dict[str, str]:
        """The type of each column."""
        return {column.name: column.type for column in self.profile.columns}

    def column(self, name: str) -> list[Any]:
        """All values of one column."""
        return [row[list(self.types).index(name)] for row in self.rows]

    def profiled(self, name: str) -> ColumnProfile:
        """The profile of one column."""
        return next(column for column in self.profile.columns if column.name == name)


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Imported]:
    """`imported(content, filename="table.csv", limit=5000)`: the import of a file, bytes or text, or the error."""

    def run(content: bytes | str | Path, filename: str = "table.csv", limit: int = 5000) -> Imported:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        path = content if isinstance(content, Path) else tmp_path / "original"
        if not isinstance(content, Path):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            profile = import_file(path, filename, out, limit)
        except BaseException:
            assert list(out.iterdir()) == [], "a failed import leaves nothing"
            raise
        assert sorted(file.name for file in out.iterdir()) == ["profile.json", "table.parquet"]
        with duckdb.connect() as connection:
            rows = connection.execute("SELECT * FROM read_parquet(?)", [str(out / "table.parquet")]).fetchall()
        for file in out.iterdir():
            file.unlink()
        return Imported(rows, profile)

    return run


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[[str], Path]:
    """`parquet("SELECT …")`: a Parquet file of what a query gives."""

    def write(query: str) -> Path:
        path = tmp_path / "written.parquet"
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        return path

    return write


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[..., Path]:
    """`workbook(rows, …)`: an .xlsx with a sheet for each list of rows; (day,) is a date by its number since 1900."""

    def write(*sheets: Sequence[Sequence[Any]]) -> Path:
        path = tmp_path / "written.xlsx"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in _parts(sheets).items():
                archive.writestr(name, content)
        return path

    return write


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _parts(sheets: Sequence[Sequence[Sequence[Any]]]) -> dict[str, str]:
    numbers = range(1, len(sheets) + 1)
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_SHEET}.worksheet+xml"/>' for n in numbers
    )
    names = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
    relations = "".join(
        f'<Relationship Id="r{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    styles = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs>'
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_SHEET}.styles+xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="r" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{relations}'
        f'<Relationship Id="s" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}">{styles}</styleSheet>',
        **{f"xl/worksheets/sheet{n}.xml": _sheet(rows) for n, rows in enumerate(sheets, 1)},
    }


def _sheet(rows: Sequence[Sequence[Any]]) -> str:
    lines = "".join(
        f'<row r="{number}">'
        + "".join(_cell(value, f"{_letters(place)}{number}") for place, value in enumerate(row))
        + "</row>"
        for number, row in enumerate(rows, 1)
    )
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData></worksheet>'


def _letters(place: int) -> str:
    return (_letters(place // 26 - 1) if place >= 26 else "") + chr(65 + place % 26)


def _cell(value: Any, at: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{at}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, tuple):
        return f'<c r="{at}" s="1"><v>{value[0]}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{at}"><v>{value}</v></c>'
    return f'<c r="{at}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'

"""Excel and OpenDocument sheets: the first visible sheet that is not empty."""

import csv
import datetime as dt
import zipfile
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from modelyard.features.datasets.importers.base import Column, Draft, Importer, Work
from modelyard.features.datasets.importers.delimited import Dialect, check_header, stage
from modelyard.features.datasets.importers.errors import EmptyFile, Unreadable
from modelyard.features.datasets.importers.forms import ANY
from modelyard.features.datasets.importers.naming import check_count

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
NAMES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
LARGEST = 1 << 30
SAMPLE = 500


class ExcelImporter(Importer):
    """Workbooks: .xlsx, .xlsm, .xlsb, .xls and .ods."""

    def sniff(self, head: bytes, filename: str) -> float:
        named = filename.lower().endswith(NAMES)
        if head.startswith((ZIP, OLE)):
            inside = any(mark in head for mark in (b"[Content_Types].xml", b"xl/", b"opendocument.spreadsheet"))
            return 0.9 if named or (inside and b"word/" not in head and b"ppt/" not in head) else 0.0
        return 0.4 if named else 0.0

    def read(self, path: Path, work: Work) -> Draft:
        _check_size(path)
        rows = _rows(path)
        head = list(islice(rows, SAMPLE))
        if not head:
            raise EmptyFile("The workbook has no sheet with cells. Choose one with a header and at least one row.")
        check_count(len(head[0]), work.columns_limit)
        check_header(head)
        sheet = work.folder / "sheet.csv"
        with sheet.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(chain(head, rows))
        table = stage(work, sheet, Dialect(), len(head[0]))
        return Draft(table, [Column(name, f"c{number}", ANY) for number, name in enumerate(head[0])])


def _check_size(path: Path) -> None:
    """Refuses a workbook that unpacks to more than memory: the archive's own figures, the sandbox catches the liars."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST:
        raise Unreadable(f"The workbook unpacks to {size:,} bytes, too many to read. Save the sheet as CSV.")


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of the first sheet that has any, as text; rows without a value are left out."""
    # Needed for workbooks only.
    import python_calamine

    try:
        with path.open("rb") as file:
            book = python_calamine.CalamineWorkbook.from_filelike(file)
            visible = [
                sheet.name
                for sheet in book.sheets_metadata
                if sheet.visible == python_calamine.SheetVisibleEnum.Visible
                and sheet.typ == python_calamine.SheetTypeEnum.WorkSheet
            ]
            for name in visible:
                sheet = book.get_sheet_by_name(name)
                if sheet.height:
                    yield from filter(any, ([_text(cell) for cell in row] for row in sheet.iter_rows()))
                    return
    except python_calamine.PasswordError:
        raise Unreadable("The workbook is locked with a password. Save it without one.") from None
    except (python_calamine.CalamineError, zipfile.BadZipFile) as error:
        raise Unreadable(
            f"The workbook is damaged or of a kind that is not read ({error}). Save it as .xlsx or CSV."
        ) from None


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, dt.datetime):
        return cell.isoformat(sep=" ")
    return str(cell)

"""Packed files and archives: what comes out of them, and what must not."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.workbook import write_workbook
from modelyard.features.datasets.importers.errors import BadArchive, NotATable, RaggedRows, UnpacksToTooMuch

Upload = Callable[..., Any]
CSV = "a,b\n" + "".join(f"{n},{n % 3}\n" for n in range(30))
ROWS = [(n, n % 3) for n in range(30)]


def zipped(files: dict[str, str | bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def tarred(files: dict[str, str], mode: str = "w") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return content.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_table_is_unpacked(uploaded: Upload, pack: Callable[[bytes], bytes]) -> None:
    assert uploaded(pack(CSV.encode()), "table.csv.gz").rows == ROWS


def test_a_packed_log_is_unpacked(uploaded: Upload) -> None:
    assert uploaded(gzip.compress(b"one line\nanother"), "a.log.gz", "log-clustering").rows == [
        ("one line",),
        ("another",),
    ]


@pytest.mark.parametrize("folder", ["", "data/", "my data/part/"])
def test_folders_say_what_the_rows_are_for(uploaded: Upload, folder: str) -> None:
    names = {"train/x.csv": "training", "val/x.csv": "validation", "Test/more/x.csv": "test"}
    got = uploaded(zipped({folder + name: CSV for name in names}), "data.zip", purpose="training")
    assert got.tables == {("x.csv", "training"): ROWS, ("x.csv", "validation"): ROWS, ("more-x.csv", "test"): ROWS}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_are_read_however_they_are_packed(uploaded: Upload, mode: str) -> None:
    got = uploaded(tarred({"./training/a.csv": CSV, "./test/b.csv": CSV}, mode), "data.tar.gz")
    assert sorted(got.tables) == [("a.csv", "training"), ("b.csv", "test")]


def test_without_such_folders_the_upload_says_it(uploaded: Upload) -> None:
    got = uploaded(zipped({"a.csv": CSV, "b.csv": CSV}), "data.zip", purpose="validation")
    assert sorted(got.tables) == [("a.csv", "validation"), ("b.csv", "validation")]


def test_texts_in_folders_of_classes_become_one_table_for_each_purpose(uploaded: Upload) -> None:
    files = {f"reviews/{part}/{label}/{n}.txt": f"{label} text {n}\nin two lines" for part in ("train", "test")
             for label in ("good", "bad") for n in range(2)}  # fmt: skip
    got = uploaded(zipped(files), "reviews.zip", "text-classification")
    assert sorted(got.tables) == [("reviews-test.jsonl", "test"), ("reviews-training.jsonl", "training")]
    assert set(got.tables["reviews-test.jsonl", "test"]) == {
        (f"{label} text {n}\nin two lines", label) for label in ("good", "bad") for n in range(2)
    }


def test_texts_without_purposes_have_the_label_of_their_folder(uploaded: Upload) -> None:
    files = {f"{label}/{n}.txt": f"{label} {n}" for label in ("x", "y") for n in range(2)}
    assert uploaded(zipped(files), "t.zip", "text-classification").tables == {
        ("t.jsonl", "training"): [("x 0", "x"), ("x 1", "x"), ("y 0", "y"), ("y 1", "y")]
    }


def test_texts_are_logs_for_logs(uploaded: Upload) -> None:
    got = uploaded(zipped({"a.txt": "one\ntwo", "b.log.gz": gzip.compress(b"three")}), "logs.zip", "log-clustering")
    assert got.tables == {("a.txt", "training"): [("one",), ("two",)], ("b.log.gz", "training"): [("three",)]}


def test_what_systems_and_people_leave_beside_data_is_left_out(uploaded: Upload) -> None:
    junk = {
        "__MACOSX/._a.csv": "x",
        ".DS_Store": "x",
        "README.md": "# About",
        "LICENSE": "free",
        "picture.png": b"\x89PNG12",
    }
    got = uploaded(zipped({"a.csv": CSV, **junk}), "data.zip")
    assert list(got.tables) == [("a.csv", "training")]
    assert sorted(got.left_out) == ["LICENSE", "README.md", "picture.png"]


def test_a_release_that_was_downloaded_can_be_uploaded_again(uploaded: Upload) -> None:
    about = '{"checksum": "00", "files": [{"filename": "a.csv"}], "number": 1}'
    got = uploaded(zipped({"dataset.json": about, "training/a.csv": CSV, "test/a.csv": CSV}), "churn-1.zip")
    assert (sorted(got.tables), got.left_out) == ([("a.csv", "test"), ("a.csv", "training")], ["dataset.json"])


def test_a_workbook_is_no_archive(uploaded: Upload, tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "w.xlsx", [["a", "b"], [1, 2]])
    assert uploaded(path, "w.xlsx").rows == [(1, 2)]


@pytest.mark.parametrize("name", ["../a.csv", "/etc/a.csv", "x/../../a.csv", "..\\a.csv", "C:\\a.csv"])
def test_a_path_that_leads_outside_is_refused(uploaded: Upload, name: str, tmp_path: Path) -> None:
    for content in (zipped({name: CSV}), tarred({name: CSV})):
        with pytest.raises(BadArchive, match="leads outside"):
            uploaded(content, "data.zip")
    assert list(tmp_path.rglob("a.csv")) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(uploaded: Upload, kind: bytes) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        entry = tarfile.TarInfo("a.csv")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(BadArchive, match="link or no file"):
        uploaded(content.getvalue(), "data.tar")


def test_a_link_in_a_zip_is_refused(uploaded: Upload) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        entry = zipfile.ZipInfo("a.csv")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(BadArchive, match="link or no file"):
        uploaded(content.getvalue(), "data.zip")


def test_a_bomb_is_stopped(uploaded: Upload) -> None:
    zeros = b"\0" * (8 << 20)
    for content, name in (
        (zipped({f"{n}.csv": zeros for n in range(13)}), "bomb.zip"),
        (gzip.compress(zeros * 13), "bomb.csv.gz"),
    ):
        assert len(content) < 1 << 20
        with pytest.raises(UnpacksToTooMuch, match="unpacks to more"):
            uploaded(content, name)


def test_what_it_unpacks_to_is_limited(uploaded: Upload) -> None:
    with pytest.raises(UnpacksToTooMuch, match="more than 100 bytes"):
        uploaded(gzip.compress(CSV.encode()), "a.csv.gz", unpacked_limit=100)
    with pytest.raises(UnpacksToTooMuch, match="files"):
        uploaded(zipped({f"{n}": b"" for n in range(20_001)}), "many.zip")


def test_archives_in_archives_stay_packed(uploaded: Upload) -> None:
    got = uploaded(zipped({"a.csv": CSV, "inner.zip": zipped({"b.csv": CSV})}), "outer.zip")
    assert (list(got.tables), got.left_out) == ([("a.csv", "training")], ["inner.zip"])


@pytest.mark.parametrize(
    "content",
    [zipped({"a.csv": CSV})[:-30], gzip.compress(CSV.encode())[:-20], b"\x1f\x8b\x08junk"],
    ids=["zip", "gzip", "junk"],
)
def test_what_is_cut_off_is_refused(uploaded: Upload, content: bytes) -> None:
    with pytest.raises((BadArchive, NotATable)):
        uploaded(content, "data.zip")


def test_a_locked_archive_is_refused(uploaded: Upload) -> None:
    content = bytearray(zipped({"a.csv": CSV}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadArchive, match="password"):
        uploaded(bytes(content), "data.zip")


@pytest.mark.parametrize("files", [{}, {"README.md": "x"}, {".hidden.csv": CSV}])
def test_an_archive_without_data_is_refused(uploaded: Upload, files: dict[str, str]) -> None:
    with pytest.raises(BadArchive, match="no data"):
        uploaded(zipped(files), "data.zip")


def test_a_bad_table_in_it_is_named(uploaded: Upload) -> None:
    with pytest.raises(RaggedRows) as caught:
        uploaded(zipped({"good.csv": CSV, "bad.csv": CSV + "3\n"}), "data.zip")
    assert caught.value.message.startswith("bad.csv: Line 32 has 1 values")


def test_more_tables_than_wanted_are_refused_with_a_hint(uploaded: Upload) -> None:
    assert uploaded(zipped({"a.csv": CSV}), "data.zip", most=1).rows == ROWS
    with pytest.raises(BadArchive, match="modelyard dataset upload"):
        uploaded(zipped({"a.csv": CSV, "b.csv": CSV}), "data.zip", most=1)

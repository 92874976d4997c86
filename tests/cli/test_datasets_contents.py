"""`modelyard dataset`: rows, labels, splits, profiles, history, releases, against a real api."""

import zipfile

import pytest

TABLE = "id,text,label\n" + "".join(f"{n},hello number {n},{'spam' if n % 4 == 0 else 'ham'}\n" for n in range(40))


@pytest.fixture
def mails(at_api, tmp_path):
    path = tmp_path / "mails.csv"
    path.write_text(TABLE)
    assert at_api("dataset", "create", "mails", "--scenario", "text-classification", "--role", "text=text").code == 0
    assert at_api("dataset", "upload", "mails", path).code == 0
    return at_api


def test_rows_are_shown_and_labelled(mails):
    ran = mails("dataset", "rows", "mails", "--filter", "label:=:spam", "--sort", "id:desc", "--limit", "2")
    header, first, second = ran.rows
    assert header == ["ROW", "PURPOSE", "id", "text", "label"]
    assert (first[2:], second[2], "2 of 10 rows" in ran.err) == (["36", "hello number 36", "spam"], "32", True)
    assert "1 rows are labelled ham" in mails("dataset", "label", "mails", "ham", first[0]).out
    found = mails("dataset", "rows", "mails", "--filter", "label:=:spam", "--json").json
    assert (found["total"], found["columns"]["label"]) == (9, "VARCHAR")
    refused = mails("dataset", "rows", "mails", "--filter", "labels:=:x")
    assert (refused.code, "nearest are label" in refused.err) == (1, True)


def test_rows_are_divided_and_described(mails):
    assert "Divided by stratified: 28 training, 6 validation, 6 test." in mails("dataset", "split", "mails").out
    assert mails("dataset", "split", "mails", "--method", "group").code == 1
    shown = mails("dataset", "profile", "mails").out
    assert "label\tcategory\t0\t2\t-\t-\t-\tham (30), spam (10)" in shown
    assert "test\tham\t" in shown
    assert mails("dataset", "profile", "mails", "--json").json["counts"]["training"] == 28
    assert "mixed" in mails("dataset", "show", "mails").out
    whats = [line[2] for line in mails("dataset", "changes", "mails").rows[1:]]
    assert whats == ["rows split", "sample added", "dataset created"]


def test_files_and_roles_are_changed(mails):
    file = mails("dataset", "show", "mails", "--json").json["files"][0]["id"]
    assert "40 rows for test" in mails("dataset", "set-purpose", "mails", file, "test").out
    assert mails("dataset", "release", "mails").code == 1
    assert mails("dataset", "update", "mails", "--role", "group=id", "--description", "of 2024").code == 0
    assert mails("dataset", "show", "mails", "--json").json["roles"] == {"text": "text", "group": "id"}
    assert mails("dataset", "update", "mails", "--role", "group").code == 2
    assert mails("dataset", "delete-file", "mails", file, "--yes").code == 0
    assert mails("dataset", "show", "mails", "--json").json["files"] == []


def test_releases_from_the_first_to_the_last(mails, tmp_path):
    assert "mails@1: 40 rows in 1 files" in mails("dataset", "release", "mails", "--note", "first").out
    (tmp_path / "more.csv").write_text(TABLE.replace("ham", "spam"))
    mails("dataset", "upload", "mails", tmp_path / "more.csv")
    assert mails("dataset", "release", "mails", "--json").json["state"] == "published"
    compared = mails("dataset", "compare", "mails", "1", "2").out
    assert "training rows    40 -> 80" in compared
    assert "spam\t25.0%\t62.5%" in compared
    assert mails("dataset", "compare", "mails", "1", "2", "--json").json["files"]["added"] == ["training/more.csv"]
    assert mails("dataset", "delete-release", "mails@1", "--yes").code == 5
    assert "archived" in mails("dataset", "archive", "mails@1").out
    assert mails("dataset", "restore", "mails@1").code == 0
    mails("dataset", "archive", "mails@1")
    assert mails("dataset", "delete-release", "mails@1", "--yes").code == 0
    assert [line[:2] for line in mails("dataset", "releases", "mails").rows[1:]] == [["2", "published"]]
    assert mails("dataset", "archive", "mails").code == 2
    assert mails("dataset", "retry-release", "mails@2").code == 5
    with zipfile.ZipFile(mails("dataset", "download", "mails", "--to", tmp_path).out.strip()) as archive:
        assert "training/more.csv" in archive.namelist()

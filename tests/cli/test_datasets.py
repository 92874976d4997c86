"""`modelyard dataset` against a real api."""

import zipfile

import pytest

TABLE = "age,churn\n" + "".join(f"{n},{'yes' if n % 3 else 'no'}\n" for n in range(50))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "churn.csv"
    path.write_text(TABLE)
    return path


def test_create_upload_release_show_list_download_delete(at_api, file, tmp_path):
    assert at_api("dataset", "create", "churn", "--target", "churn").code == 0
    uploaded = at_api("dataset", "upload", "churn", file)
    assert (uploaded.code, "50 rows, 2 columns" in uploaded.out) == (0, True), uploaded.err
    assert "churn@1: 50 rows" in at_api("dataset", "release", "churn").out
    shown = at_api("dataset", "show", "churn")
    assert "churn.csv" in shown.out
    assert "published" in shown.out
    header, row = at_api("dataset", "list").rows
    assert dict(zip(header, row, strict=True))["ROWS"] == "50"
    downloaded = at_api("dataset", "download", "churn@1", "--to", tmp_path)
    with zipfile.ZipFile(downloaded.out.strip()) as archive:
        assert archive.read("training/churn.csv").decode() == TABLE
    refused = at_api("dataset", "delete", "churn", "--yes")
    assert (refused.code, "release 1" in refused.err) == (5, True)


def test_several_files_with_a_purpose(at_api, file):
    at_api("dataset", "create", "churn")
    made = at_api("dataset", "upload", "churn", file, file, "--purpose", "test", "--json").json
    assert [(sample["filename"], sample["purpose"]) for sample in made] == [("churn.csv", "test")] * 2
    shown = at_api("dataset", "show", "churn", "--json").json
    assert (shown["rows"], len(shown["files"]), shown["releases"]) == (100, 2, [])
    assert at_api("dataset", "delete", "churn").code == 0
    assert at_api("dataset", "list", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "nowhere"], 3, "nowhere"),
        (["create", "no spaces"], 1, "name"),
        (["create", "x", "--scenario", "magic"], 1, "tabular-classification"),
        (["upload", "nowhere"], 2, "FILE"),
        (["download", "churn@two"], 1, "name@release"),
        (["release", "nowhere"], 3, "nowhere"),
    ],
)
def test_what_is_wrong_is_said_with_its_exit_code(at_api, arguments, code, said):
    ran = at_api("dataset", *arguments)
    assert ran.code == code
    assert said in ran.err


def test_a_file_that_is_no_table_leaves_nothing(at_api, tmp_path):
    at_api("dataset", "create", "churn")
    (tmp_path / "empty.csv").write_text("")
    assert at_api("dataset", "upload", "churn", tmp_path / "empty.csv").code == 1
    assert at_api("dataset", "upload", "churn", tmp_path / "none.csv").code == 3
    assert at_api("dataset", "upload", "churn", tmp_path / "none.csv", "--json").err.startswith('{"error"')
    assert at_api("dataset", "show", "churn", "--json").json["files"] == []

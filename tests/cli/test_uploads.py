"""`modelyard dataset upload` against a real api, and a platform whose workers import."""

import click
import pytest

from modelyard.cli import datasets, uploads

TABLE = "age,churn\n" + "".join(f"{n},{'yes' if n % 3 else 'no'}\n" for n in range(50))


@pytest.fixture(autouse=True)
def mounted():
    """The group that the command belongs to has it."""
    assert isinstance(datasets.dataset.commands["upload"], click.Command)
    assert datasets.dataset.commands["upload"] is uploads.upload


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "churn.csv"
    path.write_text(TABLE)
    return path


def test_a_file_goes_up_with_its_problems(at_api, file):
    at_api("dataset", "create", "churn")
    file.write_text("age,churn\n1,yes\n2,no\n")
    ran = at_api("dataset", "upload", "churn", file)
    assert ran.code == 0, ran.err
    assert "churn.csv: 2 rows, 2 columns" in ran.out
    assert "warning: The file has 2 rows" in ran.err
    assert "Next: modelyard dataset release churn" in ran.out


def test_broken_rows_are_left_out_where_that_is_wanted(at_api, file):
    at_api("dataset", "create", "churn")
    file.write_text(TABLE + "1,2,3\n")
    refused = at_api("dataset", "upload", "churn", file)
    assert (refused.code, "Line 52" in refused.err) == (1, True)
    ran = at_api("dataset", "upload", "churn", file, "--on-error", "tolerant")
    assert ran.code == 0, ran.err
    assert "1 row of the file left out" in ran.err
    assert "(row 51)" in ran.err


def test_a_folder_and_a_replaced_file(modelyard, fresh, file, tmp_path):
    name = fresh("cli-folder")
    modelyard("dataset", "create", name)
    (tmp_path / "data" / "test").mkdir(parents=True)
    (tmp_path / "data" / "test" / "t.csv").write_text(TABLE)
    made = modelyard("dataset", "upload", name, tmp_path / "data", "--json").json
    assert [(sample["filename"], sample["purpose"], sample["rows"]) for sample in made] == [("t.csv", "test", 50)]
    again = modelyard("dataset", "upload", name, file, "--replace", made[0]["id"], "--json").json
    assert [(sample["filename"], sample["purpose"]) for sample in again] == [("churn.csv", "test")]
    shown = modelyard("dataset", "show", name, "--json").json
    assert [sample["filename"] for sample in shown["files"]] == ["churn.csv"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["churn"], 2, "FILE"),
        (["churn", "a.csv", "b.csv", "--replace", "smp_1"], 2, "one FILE"),
        (["churn", "none.csv"], 3, "none.csv"),
        (["churn", "none.csv", "--on-error", "ignore"], 2, "tolerant"),
    ],
)
def test_what_is_wrong_is_said(at_api, arguments, code, said):
    ran = at_api("dataset", "upload", *arguments)
    assert (ran.code, said in ran.err) == (code, True)

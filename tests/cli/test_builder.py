"""`modelyard build` and `modelyard plan`."""

import json

import pytest

from fixtures.platform import DATA

TITANIC = DATA / "titanic" / "train.csv"
INTENT = "predict who survived"


def test_a_build_says_what_it_understood_then_how_good_it_is(modelyard, fresh):
    model = f"command/{fresh('built')}"
    ran = modelyard("build", INTENT, "--data", TITANIC, "--model", model, "--time", "60s", "--assume", "--wait")
    assert ran.code == 0, ran.err
    understood, _, result = ran.out.partition("Building")
    assert understood.startswith("target")
    assert "survived" in understood.splitlines()[0]
    assert f"{model}/v1" in result
    assert "CANDIDATE" in result
    assert f"Next: modelyard deploy {model}/v1" in result


def test_in_json_nothing_else_is_written(modelyard, fresh, command_line_model):
    model = f"command/{fresh('built')}"
    ran = modelyard("build", INTENT, "--data", "command-titanic", "--model", model, "--no-wait", "--json")
    assert (ran.code, ran.json["run"]["plan"]["target"], ran.json["version"]) == (0, "survived", None)
    modelyard("job", "stop", ran.json["run"]["job"]["id"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["predict the weather", "--data", TITANIC], 1, "--target"),
        ([INTENT, "--data", "nothing.csv"], 3, "nothing.csv"),
        ([INTENT, "--data", "no-such-dataset"], 3, "no-such-dataset"),
        ([INTENT, "--data", TITANIC, "--target", "Survivor"], 1, "Survivor"),
        ([INTENT, "--data", TITANIC, "--time", "never"], 2, "duration"),
    ],
)
def test_what_cannot_be_built_is_said_with_the_next_step(modelyard, fresh, arguments, code, said):
    ran = modelyard("build", *arguments, "--model", f"command/{fresh('none')}")
    assert ran.code == code, ran.err
    assert said in ran.err


def test_a_model_s_name_is_checked_before_anything_is_sent(modelyard):
    before = modelyard("dataset", "list", "--json").json
    ran = modelyard("build", INTENT, "--data", TITANIC, "--model", "titanic")
    assert (ran.code, "prefix/model" in ran.err) == (1, True)
    assert modelyard("dataset", "list", "--json").json == before


def test_a_plan_needs_no_platform(bare, monkeypatch):
    monkeypatch.setenv("MODELYARD_URL", "http://127.0.0.1:9")
    ran = bare("plan", INTENT, "--data", TITANIC)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("target")
    found = bare("plan", INTENT, "--data", TITANIC, "--json").json
    assert (found["target"], found["scenario"]) == ("survived", "tabular-classification")
    assert all(reason["because"] for reason in found["reasons"])


def test_a_plan_of_a_profile_is_that_of_its_table(bare, tmp_path):
    from modelyard.sdk import local

    path = tmp_path / "profile.json"
    path.write_text(json.dumps(local.profile(TITANIC)))
    of_profile = bare("plan", INTENT, "--profile", path, "--json").json
    assert of_profile == bare("plan", INTENT, "--data", TITANIC, "--json").json
    assert (
        bare("plan", INTENT, "--profile", path, "--target", "fare", "--json").json["scenario"] == "tabular-regression"
    )


def test_a_plan_of_something_else_is_refused(bare, tmp_path):
    (tmp_path / "page.csv").write_text("<html>")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "torn.json").write_text("{")
    assert bare("plan", INTENT, "--data", tmp_path / "page.csv").code == 1
    assert bare("plan", INTENT, "--data", tmp_path / "none.csv").code == 3
    for name in ("list.json", "torn.json", "none.json"):
        assert bare("plan", INTENT, "--profile", tmp_path / name).code == 1
    assert bare("plan", INTENT).code == 2
    assert bare("plan", "predict the weather", "--data", TITANIC).code == 1

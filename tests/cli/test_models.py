"""`modelyard model` against a whole platform."""

import zipfile


def test_models_and_versions_are_listed_and_shown(modelyard, command_line_model):
    rows = modelyard("model", "list", "--prefix", "command").rows
    assert command_line_model in [row[0] for row in rows]
    shown = modelyard("model", "show", command_line_model)
    assert shown.out.startswith(f"{command_line_model}: ")
    version = modelyard("model", "show", f"{command_line_model}/v1")
    assert "95 % INTERVAL" in version.out
    assert "command-titanic@1" in version.out
    found = modelyard("model", "show", f"{command_line_model}/v1", "--json").json
    assert (found["version"], found["stage"]) == ("v1", None)
    assert modelyard("model", "show", command_line_model, "--json").json["version_list"][-1]["version"] == "v1"


def test_a_version_is_staged_compared_and_downloaded(modelyard, command_line_model, tmp_path):
    version = f"{command_line_model}/v1"
    assert "in staging" in modelyard("model", "stage", version, "staging").out
    assert modelyard("model", "show", f"{command_line_model}/staging", "--json").json["version"] == "v1"
    assert "in no stage" in modelyard("model", "stage", version, "none").out
    assert modelyard("model", "show", f"{command_line_model}/staging").code == 3
    header, *rows = modelyard("model", "compare", version, command_line_model).rows
    assert header[1:3] == [version, version]
    assert all(row[3] == "+0.0000" for row in rows)
    path = modelyard("model", "download", version, "--to", tmp_path).out.strip()
    with zipfile.ZipFile(path) as archive:
        assert {"model.onnx", "SHA256SUMS", "card.md"} <= set(archive.namelist())


def test_what_is_in_use_is_not_deleted_and_what_is_not_there_not_found(modelyard, command_line_model):
    assert modelyard("model", "delete", f"{command_line_model}/v1", "--yes").code == 5
    assert modelyard("model", "delete", "command/none", "--yes").code == 3
    assert modelyard("model", "show", "command/none").code == 3
    assert modelyard("model", "show", "nonsense").code == 1
    assert modelyard("model", "stage", f"{command_line_model}/v1", "nowhere").code == 2

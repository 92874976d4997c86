"""The training recipe: real tables, real learners in a process of their own, real objects."""

import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pytest

from modelyard.algorithms.tabular import labels, table
from modelyard.core.errors import OutOfSpace
from modelyard.formats import folder as folders
from modelyard.formats.codec import Codec
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import Artifact
from modelyard.protocol.evaluation import Evaluation
from modelyard.protocol.jobs import CandidateSpec, LogLine, MetricPoint, Progress, TrainSpec
from modelyard.protocol.signature import Signature
from modelyard.storage.objects.opened import open_store
from modelyard.worker.context import Stopped
from modelyard.worker.failures import JobFailed

THEIRS = Path(__file__).parent / "theirs"
DATA = Path(__file__).parents[2] / "data"
NAME = "tabular-classification/theirs"


@pytest.fixture(scope="module")
def made(context_in, tmp_path_factory):
    """One version of titanic: (context, result, folder)."""
    context = context_in(tmp_path_factory.mktemp("made"))
    query = f"SELECT * FROM read_csv('{DATA}/titanic/train.csv')"
    result = context.train(
        context.table(query), target="survived", intent="who survives", reasons=("the target is named",)
    )
    return context, result, context.download(result, context.scratch / "downloaded")


@pytest.fixture
def theirs(context, monkeypatch):
    """Train with the installed package that behaves as it is told."""
    monkeypatch.syspath_prepend(str(THEIRS))
    context.path.append(str(THEIRS))

    def train(query: str, *behaviours: str, **settings) -> dict:
        specs = tuple(CandidateSpec(algorithm=NAME, parameters={"behaviour": one}) for one in behaviours)
        return context.train(context.table(query), target="survived", candidates=specs, **settings)

    return train


def of_result(result: dict) -> tuple[Signature, Artifact, Evaluation]:
    pairs = (("signature", Signature), ("artifact", Artifact), ("evaluation", Evaluation))
    return tuple(msgspec.convert(result[name], kind) for name, kind in pairs)


def test_the_version_folder_is_whole_and_verified(made) -> None:
    _, result, folder = made
    folders.verify_checksums(folder, result["checksum"])
    paths = [entry["path"] for entry in result["files"]]
    assert set(paths) == {
        "model.json", "signature.json", "model.onnx", "metrics.json", "card.md", "train.py", "requirements.lock",
        "SHA256SUMS", "evaluation/confusion.json", "evaluation/curves.json", "evaluation/importance.json",
    }  # fmt: skip
    assert paths[-1] == "SHA256SUMS"
    for entry in result["files"]:
        assert entry["sha256"] == folders.sha256(folder / entry["path"])
    assert result["folder"] == "runs/run_1/7"


def test_the_result_is_json_and_says_what_the_folder_says(made) -> None:
    _, result, folder = made
    json.dumps(result, allow_nan=False)
    for name, file in (("signature", "signature.json"), ("artifact", "model.json"), ("evaluation", "metrics.json")):
        assert json.loads((folder / file).read_text()) == json.loads(msgspec.json.encode(result[name]))


def test_every_answer_is_the_training_pipeline_s(made) -> None:
    _, result, _ = made
    _, artifact, evaluation = of_result(result)
    assert artifact.format == "onnx"
    assert not artifact.isolated
    assert artifact.micros_32_rows < 5000
    assert evaluation.parity <= 1e-6


def test_the_example_is_answered_as_recorded(made) -> None:
    _, result, folder = made
    signature, *_ = of_result(result)
    predictor = open_version(folder)
    codec = Codec(signature)
    batch = codec.decode_json(json.dumps({"instances": [signature.example]}).encode()).batch
    assert codec.answers(predictor.predict(batch)) == [signature.example_answer]
    assert set(signature.example) == {field.name for field in signature.inputs}


def test_the_model_is_good_and_its_metrics_hold_together(made) -> None:
    _, result, _ = made
    _, artifact, evaluation = of_result(result)
    assert evaluation.primary == "roc_auc"
    assert evaluation.headline.value > 0.75
    for metric in evaluation.metrics:
        assert metric.lower <= metric.value <= metric.upper
    assert evaluation.rows == {"training": 435, "validation": 100, "test": 133}
    best = max(evaluation.candidates, key=lambda one: one.validation)
    assert [one.algorithm for one in evaluation.candidates if one.chosen] == [best.algorithm] == [artifact.algorithm]
    assert next(iter(evaluation.importance)) == "sex"


def test_the_confusion_matrix_and_the_curves_agree_with_the_metrics(made) -> None:
    _, result, folder = made
    metrics = {metric["name"]: metric["value"] for metric in result["evaluation"]["metrics"]}
    confusion = np.array(json.loads((folder / "evaluation/confusion.json").read_text())["matrix"])
    assert confusion.sum() == 133
    assert confusion.trace() / 133 == pytest.approx(metrics["accuracy"], rel=1e-5)
    roc = json.loads((folder / "evaluation/curves.json").read_text())["roc"]
    x, y = [0, *roc["false_positive_rate"]], [0, *roc["true_positive_rate"]]
    assert np.trapezoid(y, x) == pytest.approx(metrics["roc_auc"], abs=0.003)


def test_every_number_of_the_card_is_one_of_the_metrics(made) -> None:
    _, result, folder = made
    card = (folder / "card.md").read_text()
    for metric in result["evaluation"]["metrics"]:
        (row,) = [
            line
            for line in card.splitlines()
            if line.endswith(f"| {metric['direction']} |") and f"| {metric['value']:g} |" in line
        ]
        numbers = [float(cell) for cell in row.split("|")[2:6]]
        assert numbers == [metric[name] for name in ("value", "lower", "upper", "baseline")]
    for column, value in result["evaluation"]["importance"].items():
        assert f"| {column} | {value:g} |" in card
        assert float(f"{value:g}") == value
    assert "the target is named" in card
    assert "who survives" in card


def test_train_py_makes_the_same_model_again_from_the_csv(made, tmp_path: Path) -> None:
    _, result, folder = made
    command = [sys.executable, "-P", folder / "train.py", DATA / "titanic/train.csv", "--out", tmp_path / "again"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    signature, *_, evaluation = of_result(result)
    said = float(re.search(r"roc_auc on 133 test rows: ([\d.]+)", ran.stdout)[1])
    assert said == pytest.approx(evaluation.headline.value, abs=1e-6)
    rows = table.read_csv(DATA / "titanic/test.csv", signature.inputs, "survived", "integer").batch(signature.inputs)
    np.testing.assert_array_equal(open_version(tmp_path / "again").predict(rows), open_version(folder).predict(rows))


def test_the_lock_names_the_versions_at_work(made) -> None:
    _, _, folder = made
    lines = (folder / "requirements.lock").read_text().splitlines()
    assert f"numpy=={np.__version__}" in lines
    assert {"lightgbm", "modelyard", "onnxruntime"} <= {line.partition("==")[0] for line in lines}


def test_progress_and_history_are_told_as_they_happen(made) -> None:
    context, _, _ = made
    fractions = [event.fraction for event in context.events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    names = {event.name for event in context.events if isinstance(event, MetricPoint)}
    assert names == {"linear/log_loss", "lightgbm/binary_logloss"}
    assert any("rounds" in line for line in context.lines())
    assert any(event.eta_seconds is not None for event in context.events if isinstance(event, Progress))


def test_the_child_never_sees_a_test_label(made) -> None:
    context, _, _ = made
    for work in context.runs:
        given = sorted(path.relative_to(work / "in").as_posix() for path in (work / "in").rglob("*") if path.is_file())
        assert [path for path in given if "labels" in path] == ["training_labels.npy", "validation_labels.npy"]
        assert "survived" not in (work / "in/test/strings.msgpack").read_text(errors="replace")
        assert len(np.load(work / "in/training_labels.npy")) == 435
        assert np.load(work / "in/test/numbers.npy").shape == (133, 5)


def test_an_identifier_is_left_out_without_being_told(context, telco: str) -> None:
    result = context.train(context.table(telco), target="Churn", algorithms=("linear",))
    signature, _, evaluation = of_result(result)
    assert "customerID" in signature.ignored
    assert "customerID" not in [field.name for field in signature.inputs]
    assert next(field.kind for field in signature.inputs if field.name == "TotalCharges") == "number"
    assert signature.positive == "Yes"
    assert evaluation.headline.value > 0.82
    assert any("customerID" in line for line in context.lines())


def test_tables_with_a_purpose_are_used_for_it(context, titanic: str) -> None:
    given = [context.table(titanic), context.table(titanic.replace("train.csv", "test.csv"), "test")]
    result = context.train(*given, target="survived", algorithms=("lightgbm",))
    _, _, evaluation = of_result(result)
    assert evaluation.rows == {"training": 568, "validation": 100, "test": 223}
    assert evaluation.headline.value > 0.8


def test_a_number_is_predicted_with_its_residuals(context) -> None:
    query = """
        SELECT size, colour, born, CASE WHEN size > 900 THEN NULL
            ELSE exp(size / 200.0) * (1 + coalesce(len(colour), 0)) + year(born) END AS price
        FROM (SELECT range AS size, ['red', 'green', 'blue', NULL][1 + range % 4] AS colour,
            DATE '2001-01-01' + (range * 37 % 4000)::INTEGER AS born FROM range(1000))
    """
    result = context.train(context.table(query), target="price", scenario="tabular-regression")
    signature, artifact, evaluation = of_result(result)
    folder = context.download(result, context.scratch / "downloaded")
    assert {field.name: field.kind for field in signature.inputs} == {
        "size": "integer",
        "colour": "category",
        "born": "date",
    }
    assert artifact.format == "onnx"
    assert evaluation.primary == "rmse"
    assert evaluation.parity <= 1e-6
    assert next(metric.value for metric in evaluation.metrics if metric.name == "r2") > 0.9
    assert evaluation.rows["test"] == 180
    assert any("99 training rows were left out" in warning for warning in evaluation.warnings)
    sample = json.loads((folder / "evaluation/residuals.json").read_text())["sample"]
    assert len(sample["actual"]) == len(sample["predicted"]) == 180
    assert set(signature.example_answer) == {"prediction"}


def test_several_classes_are_judged_by_log_loss(context) -> None:
    query = "SELECT range % 50 AS a, ['x', 'y', 'z'][1 + (range % 50) // 17] AS kind FROM range(400)"
    result = context.train(context.table(query), target="kind", algorithms=("lightgbm",))
    signature, _, evaluation = of_result(result)
    assert signature.classes == ("x", "y", "z")
    assert signature.positive is None
    assert evaluation.primary == "log_loss"
    assert evaluation.headline.value < evaluation.headline.baseline
    assert any("Almost every test row" in warning for warning in evaluation.warnings)


def test_a_small_table_is_learned_with_a_warning(context) -> None:
    query = "SELECT range AS a, range % 3 AS b, range % 2 = 0 AS y FROM range(20)"
    _, _, evaluation = of_result(context.train(context.table(query), target="y"))
    assert sum(evaluation.rows.values()) == 20
    assert any("rows judge this model" in warning for warning in evaluation.warnings)


ROWS = "SELECT range % 9 AS a, range % 2 AS y FROM range(90)"
FAILURES = {
    "target_missing": (ROWS.replace("y", "churned"), {"target": "Churn"}, "nearest are churned"),
    "target_empty": ("SELECT range AS a, NULL::VARCHAR AS y FROM range(90)", {}, "no values"),
    "one_class": ("SELECT range AS a, 'yes' AS y FROM range(90)", {}, "only one class, 'yes'"),
    "too_few_rows": ("SELECT 1 AS a, 'yes' AS y", {}, "1 row with a target; at least 20"),
    "no_features": ("SELECT 5 AS a, 'id' || range AS b, range % 2 AS y FROM range(90)", {}, "a: has the same value"),
    "too_many_classes": ("SELECT range % 7 AS a, random() AS y FROM range(300)", {}, "tabular-regression"),
    "target_type": (ROWS.replace("% 2", "|| 'x'"), {"scenario": "tabular-regression"}, "holds text"),
    "positive_missing": (ROWS, {"positive": "maybe"}, "0 and 1"),
    "unknown_metric": (ROWS, {"metric": "rmse"}, "roc_auc"),
    "unknown_algorithm": ("SELECT 1 AS y", {"algorithms": ("magic",)}, "tabular-classification/lightgbm"),
    "bad_parameters": (
        ROWS,
        {"candidates": (CandidateSpec(algorithm="tabular-classification/lightgbm", parameters={"num_leaves": 1}),)},
        "num_leaves: Input should be greater than or equal to 2",
    ),
    "no_candidates": ("SELECT 1 AS y", {"candidates": ()}, "at least one"),
}  # fmt: skip


@pytest.mark.parametrize("code", FAILURES)
def test_what_cannot_be_learned_says_why_and_what_to_do(context, code: str) -> None:
    query, settings, says = FAILURES[code]
    with pytest.raises(JobFailed) as ended:
        context.train(context.table(query), **{"target": "y", **settings})
    assert ended.value.failure.code == code
    assert says in ended.value.failure.message
    assert ended.value.failure.message.rstrip().endswith(".")
    assert list(context.objects.list("runs")) == []


def test_a_release_without_training_rows_says_so(context) -> None:
    with pytest.raises(JobFailed) as ended:
        context.train(context.table("SELECT 1 AS y", "test"), target="y")
    assert ended.value.failure.code == "no_training_rows"


@pytest.mark.parametrize("behaviour", ["unconvertible", "python"])
def test_what_does_not_convert_is_served_isolated_with_a_warning(theirs, context, titanic: str, behaviour: str) -> None:
    result = theirs(titanic, behaviour)
    _, artifact, evaluation = of_result(result)
    assert (artifact.format, artifact.isolated, artifact.micros_32_rows) == ("python", True, None)
    assert evaluation.parity == 0
    assert any("inside a sandbox" in warning for warning in evaluation.warnings)
    assert evaluation.importance
    folder = context.download(result, context.scratch / "downloaded")
    folders.verify_checksums(folder, result["checksum"])
    assert (folder / "model/predictor.pickle").is_file()
    assert not (folder / "model.onnx").exists()
    assert "inside a sandbox" in (folder / "card.md").read_text()


def test_no_pickle_is_loaded_by_the_recipe_s_own_process(theirs, titanic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    def refuse(*_: object) -> None:
        raise AssertionError("a pickle was loaded outside the sandbox")

    monkeypatch.setattr(pickle, "loads", refuse)
    assert theirs(titanic, "unconvertible")["artifact"]["isolated"]


def test_a_converted_form_that_answers_differently_is_not_served(theirs, titanic: str) -> None:
    _, artifact, evaluation = of_result(theirs(titanic, "different"))
    assert (artifact.format, artifact.isolated) == ("python", True)
    assert any("answers up to" in warning for warning in evaluation.warnings)


def test_a_converted_form_that_is_not_quite_exact_is_served_with_a_warning(theirs, titanic: str) -> None:
    _, artifact, evaluation = of_result(theirs(titanic, "inexact"))
    assert artifact.format == "onnx"
    assert 1e-6 < evaluation.parity < 1e-4
    assert any("single precision" in warning for warning in evaluation.warnings)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("crash", "algorithm_failed"),
        ("memory", "out_of_memory"),
        ("nan", "bad_answers"),
        ("link", "bad_answers"),
        ("exit", "bad_answers"),
    ],
)
def test_an_algorithm_that_goes_wrong_fails_the_job_with_a_sentence(
    theirs, context, titanic: str, behaviour: str, code: str
) -> None:
    with pytest.raises(JobFailed) as ended:
        theirs(titanic, behaviour)
    failure = ended.value.failure
    assert failure.code == code
    assert "\n" not in failure.message
    assert "Traceback" not in failure.message
    assert list(context.objects.list("runs")) == []


def test_one_candidate_s_failure_does_not_stop_the_others(theirs, context, titanic: str) -> None:
    _, artifact, evaluation = of_result(theirs(titanic, "crash", "inexact"))
    assert artifact.parameters == {"behaviour": "inexact"}
    assert len(evaluation.candidates) == 1
    assert any("did not learn" in warning for warning in evaluation.warnings)
    assert any(line.startswith("theirs: The algorithm failed") for line in context.lines())


def test_nothing_stays_in_the_store_where_it_is_full(context, titanic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given, put = context.table(titanic), context.objects.put

    def full(key: str, data: object) -> int:
        if key.endswith("model.onnx"):
            raise OutOfSpace("The store is full.")
        return put(key, data)

    monkeypatch.setattr(context.objects, "put", full)
    with pytest.raises(OutOfSpace):
        context.train(given, target="survived", algorithms=("linear",))
    assert list(context.objects.list("runs")) == []


def test_a_run_that_is_stopped_while_it_stores_leaves_nothing(
    context, titanic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, report = context.table(titanic), context.report

    def stop(event: object) -> None:
        if isinstance(event, Progress) and event.phase == "storing the version":
            raise Stopped
        report(event)

    monkeypatch.setattr(context, "report", stop)
    with pytest.raises(Stopped):
        context.train(given, target="survived", algorithms=("linear",))
    assert list(context.objects.list("runs")) == []


def test_names_that_are_no_identifiers_go_all_the_way(context) -> None:
    names = ["a|b", 'it\'s "x"', "ü {0}", 'the target, "y']
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    values = ["range % 40", "'it''s ' || (range % 3)", "range % 5 + 0.5"]
    values.append("CASE WHEN range % 40 < 20 THEN 'no | ''\"' ELSE 'yes {x}' END")
    chosen = ", ".join(f"{value} AS {name}" for value, name in zip(values, quoted, strict=True))
    query = f"SELECT {chosen} FROM range(200)"
    result = context.train(context.table(query), target=names[-1], algorithms=("linear",))
    signature, _, evaluation = of_result(result)
    folder = context.download(result, context.scratch / "downloaded")
    assert evaluation.parity <= 1e-6
    assert signature.classes == ("no | '\"", "yes {x}")
    csv = context.scratch / "table.csv"
    duckdb.sql(query).write_csv(str(csv))
    command = [sys.executable, "-P", folder / "train.py", csv, "--out", context.scratch / "again"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_labels_are_written_as_the_signature_names_them(context) -> None:
    query = "SELECT range % 9 AS a, (range % 2) = 1 AS y FROM range(200)"
    signature, *_ = of_result(context.train(context.table(query), target="y", algorithms=("linear",)))
    assert signature.classes == ("false", "true")
    assert labels.texts(table.Column("y", "boolean", np.array([1.0, 0.0, np.nan]))) == ["true", "false", ""]


def test_the_platform_s_lines_are_marked_as_its_own(made) -> None:
    context, _, _ = made
    streams = {event.stream for event in context.events if isinstance(event, LogLine)}
    assert streams == {"out", "platform"}


def test_a_real_worker_trains_in_a_real_sandbox(context, api, begin, settings, titanic: str) -> None:
    objects = open_store(settings.objects_url)
    given = context.table(titanic)
    objects.put(given.key, context.objects.get(given.key))
    names = ("tabular-classification/linear", "tabular-classification/lightgbm")
    spec = TrainSpec(
        scenario="tabular-classification", target="survived", tables=(given,), model="tests/model", release="data@1",
        candidates=tuple(CandidateSpec(algorithm=name) for name in names), output="runs/run_1",
    )  # fmt: skip
    worker = begin("train", **msgspec.to_builtins(spec))
    assert worker.end(120) == 0, worker.log.read_text()
    assert api.finish["outcome"] == "succeeded", api.finish
    _, artifact, evaluation = of_result(api.finish["result"])
    assert artifact.format == "onnx"
    assert len(evaluation.candidates) == 2
    assert evaluation.parity <= 1e-6
    stored = {info.key for info in objects.list("runs/run_1/1")}
    assert stored == {f"runs/run_1/1/{entry['path']}" for entry in api.finish["result"]["files"]}
    assert {event["name"] for event in api.of("metric")} == {"linear/log_loss", "lightgbm/binary_logloss"}
    assert list((settings.data / "scratch").iterdir()) == []


def test_no_further_candidate_begins_once_the_budget_is_used_up(context):
    query = f"SELECT * FROM read_csv('{DATA}/titanic/train.csv')"
    names = ("tabular-classification/linear", "tabular-classification/lightgbm")
    specs = tuple(CandidateSpec(algorithm=name) for name in names)
    result = context.train(context.table(query), target="survived", candidates=specs, seconds=0.001)
    tried = of_result(result)[2].candidates
    assert [candidate.algorithm for candidate in tried] == [names[0]]
    assert any("not tried" in event.line for event in context.events if isinstance(event, LogLine))

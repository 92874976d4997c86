"""`train.py` and `requirements.lock` of a version: what makes the same model again, without the platform."""

import pprint
from importlib.metadata import PackageNotFoundError, version

import msgspec

from modelyard.protocol.jobs import CandidateSpec, TrainSpec
from modelyard.worker.training.loading import Loaded

PACKAGES = (
    "catboost", "duckdb", "joblib", "lightgbm", "modelyard", "msgspec", "numpy", "onnx", "onnxruntime", "pydantic",
    "scikit-learn", "scipy", "threadpoolctl", "xgboost-cpu",
)  # fmt: skip
"""What learning and serving runs on, those that are installed."""

_SCRIPT = '''"""Makes {model} again, as it was trained on {release}.

    pip install -r requirements.lock
    python train.py training.csv [--validation validation.csv] [--test test.csv] [--out model]

The files are those of the release, with their rows in the same order: {tables}. A file that is no CSV is a text of
lines. The model is written to the folder `--out`.
"""

import argparse
from pathlib import Path

from modelyard.algorithms import registry, scoring
from modelyard.algorithms.base import Report
from modelyard.algorithms.scenarios.base import Aim, training_data
from modelyard.algorithms.scenarios.registry import scenario
from modelyard.algorithms.tabular import table
from modelyard.formats import folder
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import Artifact

ALGORITHM = {algorithm!r}
PARAMETERS = {parameters}
METRIC = {metric!r}
AIM = Aim(**{aim})
TYPES = {types}


class Printed(Report):
    def progress(self, phase, fraction, eta_seconds=None):
        pass

    def metric(self, name, step, value):
        print(f"{{name}} {{step}}: {{value:.6g}}")

    def log(self, line):
        print(line)


def main(arguments):
    given = {{"training": arguments.training, "validation": arguments.validation, "test": arguments.test}}
    tables = {{purpose: table.read_file(path, TYPES) for purpose, path in given.items() if path is not None}}
    problem = scenario(AIM.scenario)
    prepared = problem.prepare(AIM, tables)
    data = training_data(prepared, AIM.seed)
    algorithm = registry.get(ALGORITHM)
    settings = algorithm.Parameters(**PARAMETERS)
    trained = algorithm().fit(data, settings, Printed())
    final = algorithm().finish(data, trained, settings, Printed())
    arguments.out.mkdir(parents=True)
    form = final.save(arguments.out)
    folder.write(arguments.out / "model.json", Artifact(format=form, scenario=AIM.scenario, algorithm=ALGORITHM))
    folder.write(arguments.out / "signature.json", prepared.signature)
    predict = open_version(arguments.out).predict
    test = prepared.parts.test
    answers = problem.answers(prepared, predict, predict(test.rows))
    value = scoring.score(METRIC, problem.judge(prepared, "test"), test.labels, answers)
    print(f"{{METRIC}} on {{len(test.labels)}} test rows: {{value:.6g}}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("training", type=Path)
    parser.add_argument("--validation", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--out", type=Path, default=Path("model"))
    main(parser.parse_args())
'''


def script(spec: TrainSpec, candidate: CandidateSpec, loaded: Loaded, metric: str) -> str:
    """The text of `train.py`."""
    return _SCRIPT.format(
        model=_plain(spec.model),
        release=_plain(spec.release),
        tables=", ".join(loaded.tables),
        algorithm=candidate.algorithm,
        parameters=pprint.pformat(candidate.parameters),
        metric=metric,
        aim=pprint.pformat(msgspec.structs.asdict(loaded.aim)),
        types=pprint.pformat(loaded.prepared.types, sort_dicts=False),
    )


def lock() -> str:
    """The text of `requirements.lock`: the exact versions that were at work."""
    return "".join(f"{name}=={found}\n" for name, found in versions().items())


def versions() -> dict[str, str]:
    """Name and version of each package that took part."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _plain(text: str) -> str:
    """A name inside a docstring: nothing that could end it."""
    return "".join(letter for letter in text if letter.isprintable() and letter not in "\"'\\\\{{}}")

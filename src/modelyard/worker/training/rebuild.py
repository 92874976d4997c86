"""`train.py` and `requirements.lock` of a version: what makes the same model again, without the platform."""

import pprint
from importlib.metadata import PackageNotFoundError, version

from modelyard.protocol.jobs import CandidateSpec, TrainSpec
from modelyard.worker.training.loading import Loaded

PACKAGES = (
    "duckdb", "joblib", "lightgbm", "modelyard", "msgspec", "numpy", "onnx", "onnxruntime", "pydantic",
    "scikit-learn", "scipy", "threadpoolctl",
)  # fmt: skip
"""What learning and serving a table's model runs on."""

_SCRIPT = '''"""Makes {model} again, as it was trained on {release}.

    pip install -r requirements.lock
    python train.py training.csv [--validation validation.csv] [--test test.csv] [--out model]

The CSV files are those of the release, with their rows in the same order: {tables}.
signature.json must lie beside this file. The model is written to the folder `--out`.
"""

import argparse
import shutil
from pathlib import Path

from modelyard.algorithms import registry, scoring
from modelyard.algorithms.base import Report
from modelyard.algorithms.tabular import parts, table
from modelyard.formats import folder
from modelyard.formats.registry import open_version
from modelyard.protocol.artifact import Artifact

HERE = Path(__file__).resolve().parent
ALGORITHM = {algorithm!r}
PARAMETERS = {parameters}
METRIC = {metric!r}
TARGET_TYPE = {target_type!r}
SEED = {seed}


class Printed(Report):
    def progress(self, phase, fraction, eta_seconds=None):
        pass

    def metric(self, name, step, value):
        print(f"{{name}} {{step}}: {{value:.6g}}")

    def log(self, line):
        print(line)


def main(arguments):
    signature = folder.read_signature(HERE)
    given = {{"training": arguments.training, "validation": arguments.validation, "test": arguments.test}}
    tables = {{
        purpose: table.read_csv(path, signature.inputs, signature.target, TARGET_TYPE)
        for purpose, path in given.items()
        if path is not None
    }}
    divided = parts.divide(tables, signature.target, parts.labeller(signature.classes), SEED)
    data = parts.training_data(divided, signature, SEED)
    algorithm = registry.get(ALGORITHM)
    settings = algorithm.Parameters(**PARAMETERS)
    trained = algorithm().fit(data, settings, Printed())
    final = algorithm().finish(data, trained, settings, Printed())
    arguments.out.mkdir(parents=True)
    form = final.save(arguments.out)
    folder.write(arguments.out / "model.json", Artifact(format=form, scenario=signature.scenario, algorithm=ALGORITHM))
    shutil.copy(HERE / "signature.json", arguments.out)
    test = divided.test
    answers = open_version(arguments.out).predict(test.table.batch(signature.inputs))
    positive = signature.classes.index(signature.positive) if signature.positive else 1
    question = scoring.Question(len(signature.classes), positive)
    value = scoring.score(METRIC, question, test.labels, answers)
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
        target_type=loaded.target_type,
        seed=spec.seed,
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

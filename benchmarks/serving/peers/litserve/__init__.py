"""LitServe, with the ONNX graph or with the scikit-learn pipeline."""

from typing import Literal

from benchmarks.serving.contender import Contender, Stage
from benchmarks.serving.environments import PEERS, model_of, pinned, python_of

TITLES = {"onnx": "ONNX", "sklearn": "scikit-learn"}


class LitServe(Contender):
    set_up = "one API server and one worker per core, batches of up to 64 gathered for 1 ms"
    version = pinned("litserve", "litserve")

    def __init__(self, kind: Literal["onnx", "sklearn"]) -> None:
        self._kind = kind
        self.name, self.title = f"litserve-{kind}", f"LitServe + {TITLES[kind]}"

    def install(self) -> None:
        model_of("litserve")

    def start(self, stage: Stage) -> None:
        model = stage.model if self._kind == "onnx" else model_of("litserve")
        words = [self._kind, model, str(stage.port), str(stage.cores)]
        stage.start([python_of("litserve"), PEERS / "litserve" / "server.py", *words], OMP_NUM_THREADS="1")

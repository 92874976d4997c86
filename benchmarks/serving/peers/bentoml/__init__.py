"""BentoML with the ONNX graph."""

from collections.abc import Sequence
from typing import Any

from benchmarks.serving.contender import Contender, Stage
from benchmarks.serving.environments import PEERS, pinned, python_of
from benchmarks.serving.pipeline import Row


class BentoMl(Contender):
    name = "bentoml"
    title = "BentoML + ONNX"
    set_up = "one worker per core, adaptive batches of up to 64"
    version = pinned("bentoml", "bentoml")

    def install(self) -> None:
        python_of("bentoml")

    def start(self, stage: Stage) -> None:
        words = ["serve", "server:Predictor", "--working-dir", PEERS / "bentoml", "--port", str(stage.port)]
        stage.start(
            [python_of("bentoml").with_name("bentoml"), *words],
            MODEL=str(stage.model),
            CORES=str(stage.cores),
            BENTOML_HOME=str(stage.folder / "home"),
            BENTOML_DO_NOT_TRACK="True",
        )

    def body(self, rows: Sequence[Row]) -> Any:
        return {"instances": list(rows)}

    def read(self, answer: Any) -> list[float]:
        return [row["probabilities"]["Yes"] for row in answer]

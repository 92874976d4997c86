"""MLflow's scoring server with the scikit-learn pipeline."""

from collections.abc import Sequence
from typing import Any

from benchmarks.serving.contender import Contender, Stage
from benchmarks.serving.environments import PEERS, model_of, pinned, python_of
from benchmarks.serving.pipeline import Row

SAVE = PEERS / "mlflow" / "save.py"


class MlFlow(Contender):
    name = "mlflow"
    title = "MLflow models serve, scikit-learn"
    set_up = "one uvicorn worker per core"
    version = pinned("mlflow", "mlflow")
    path = "/invocations"

    def install(self) -> None:
        model_of("mlflow", SAVE)

    def start(self, stage: Stage) -> None:
        command = [python_of("mlflow").with_name("mlflow"), "models", "serve", "--env-manager", "local"]
        words = ["--port", str(stage.port), "--workers", str(stage.cores), "--model-uri", model_of("mlflow", SAVE)]
        stage.start([*command, *words], OMP_NUM_THREADS="1")

    def body(self, rows: Sequence[Row]) -> Any:
        return {"dataframe_records": list(rows)}

    def read(self, answer: Any) -> list[float]:
        return [yes for _, yes in answer["predictions"]]

"""MLServer with the scikit-learn pipeline, asked in the Open Inference Protocol V2, a tensor for each column."""

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.load.ports import free_port
from benchmarks.serving.contender import Contender, Stage
from benchmarks.serving.environments import model_of, pinned, python_of
from benchmarks.serving.pipeline import CATEGORIES, NUMBERS, Row


class MlServer(Contender):
    name = "mlserver"
    title = "MLServer, scikit-learn, V2"
    set_up = "one parallel worker per core, adaptive batches of up to 64 gathered for 5 ms"
    version = pinned("mlserver", "mlserver")
    path = "/v2/models/bench/infer"

    def install(self) -> None:
        model_of("mlserver")

    def start(self, stage: Stage) -> None:
        settings = {
            "debug": False,
            "host": "127.0.0.1",
            "http_port": stage.port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "parallel_workers": stage.cores,
        }
        (stage.folder / "settings.json").write_text(json.dumps(settings))
        of_model = {
            "name": "bench",
            "implementation": "mlserver_sklearn.SKLearnModel",
            "max_batch_size": 64,
            "max_batch_time": 0.005,
            "parameters": {"uri": str(model_of("mlserver"))},
        }
        (stage.folder / "model-settings.json").write_text(json.dumps(of_model))
        stage.start([python_of("mlserver").with_name("mlserver"), "start", stage.folder], OMP_NUM_THREADS="1")

    def body(self, rows: Sequence[Row]) -> Any:
        shape = [len(rows), 1]
        numbers = [
            {"name": name, "shape": shape, "datatype": "FP64", "data": [row[name] for row in rows]} for name in NUMBERS
        ]
        strings = [
            {
                "name": name,
                "shape": shape,
                "datatype": "BYTES",
                "parameters": {"content_type": "str"},
                "data": [row[name] for row in rows],
            }
            for name in CATEGORIES
        ]
        # With an id of our own: one that the server makes would differ from answer to answer.
        return {
            "id": "1",
            "parameters": {"content_type": "pd"},
            "inputs": [*numbers, *strings],
            "outputs": [{"name": "predict_proba"}],
        }

    def read(self, answer: Any) -> list[float]:
        return answer["outputs"][0]["data"][1::2]

"""A Ray Serve application: python server.py MODEL PORT CORES."""

import signal
import sys
from typing import Any

import orjson
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0.5})
class Predictor:
    def __init__(self, path: str) -> None:
        from benchmarks.serving.onnx_model import OnnxModel

        self.model = OnnxModel(path)

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0)
    async def predict(self, requests: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        return self.model.predict_each(requests)

    async def __call__(self, request: Request) -> Response:
        rows = orjson.loads(await request.body())["instances"]
        return Response(orjson.dumps({"predictions": await self.predict(rows)}), media_type="application/json")


if __name__ == "__main__":
    path, port, cores = sys.argv[1:]
    ray.init(num_cpus=int(cores) + 1, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(port), "access_log": False})
    serve.run(Predictor.options(num_replicas=int(cores), logging_config={"enable_access_log": False}).bind(path))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()

"""FastAPI + ONNX: by hand by somebody who knows how, the rival that counts; and as its tutorial writes it."""

from typing import Literal

from benchmarks.serving.contender import Contender, Stage
from benchmarks.serving.environments import PEERS, pinned, python_of

TITLES = {"tuned": "FastAPI + ONNX, tuned by hand", "plain": "FastAPI + ONNX, as in its tutorial"}
BODIES = {"tuned": "bodies by msgspec", "plain": "bodies by pydantic"}


class FastApi(Contender):
    version = pinned("fastapi", "fastapi")

    def __init__(self, kind: Literal["tuned", "plain"]) -> None:
        self._kind = kind
        self.name, self.title = f"fastapi-{kind}", TITLES[kind]
        self.set_up = f"one uvicorn worker per core on uvloop and httptools, no access log; {BODIES[kind]}"

    def install(self) -> None:
        python_of("fastapi")

    def start(self, stage: Stage) -> None:
        words = ["--port", str(stage.port), "--workers", str(stage.cores), "--loop", "uvloop", "--http", "httptools"]
        quiet = ["--no-access-log", "--log-level", "warning"]
        command = [python_of("fastapi"), "-m", "uvicorn", f"{self._kind}:app", "--app-dir", PEERS / "fastapi"]
        stage.start([*command, *words, *quiet], MODEL=str(stage.model))

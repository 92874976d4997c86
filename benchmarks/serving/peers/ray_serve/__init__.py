"""Ray Serve with the ONNX graph, HAProxy in front: its own fastest set-up."""

from benchmarks.serving.contender import Contender, Stage
from benchmarks.serving.environments import PEERS, pinned, python_of


class RayServe(Contender):
    name = "ray"
    title = "Ray Serve + HAProxy + ONNX"
    set_up = (
        "HAProxy ingress, throughput-optimised, one replica per core, serve.batch of up to 64 without waiting, nice 0"
    )
    version = pinned("ray_serve", "ray")
    path = "/"

    def install(self) -> None:
        python_of("ray_serve")

    def start(self, stage: Stage) -> None:
        ingress = stage.folder / "haproxy"
        ingress.mkdir()
        stage.start(
            [python_of("ray_serve"), PEERS / "ray_serve" / "server.py", stage.model, str(stage.port), str(stage.cores)],
            RAY_SERVE_ENABLE_HA_PROXY="1",
            RAY_SERVE_THROUGHPUT_OPTIMIZED="1",
            RAY_SERVE_HAPROXY_NBTHREAD=str(stage.cores),
            RAY_SERVE_HAPROXY_CONFIG_FILE_LOC=str(ingress / "haproxy.cfg"),
            RAY_SERVE_HAPROXY_SOCKET_PATH=str(ingress / "admin.sock"),
            RAY_SERVE_HAPROXY_SERVER_STATE_BASE=str(ingress),
            RAY_SERVE_HAPROXY_SERVER_STATE_FILE=str(ingress / "state"),
            RAY_worker_niceness="0",
            RAY_USAGE_STATS_ENABLED="0",
            RAY_TMPDIR=str(stage.folder),
        )

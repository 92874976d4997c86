"""The limit: nginx, which answers the same to everybody without looking."""

import shutil
import subprocess
from collections.abc import Sequence

from benchmarks.serving.contender import Contender, Stage
from benchmarks.serving.environments import NotThere

CONFIGURATION = """
worker_processes {cores};
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/bodies;
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    location / {{
      default_type application/json;
      return 200 '{{"predictions":[{{"prediction":"No","probability":0.75,"probabilities":{{"No":0.75}}}}]}}';
    }}
  }}
}}
"""


class Nginx(Contender):
    name = "nginx"
    title = "nginx, return 200"
    set_up = "one worker per core; answers without reading, the limit"
    version = ""

    def install(self) -> None:
        if shutil.which("nginx") is None:
            raise NotThere("nginx is not there. Install it: apt-get install nginx")
        said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
        self.version = said.strip().rpartition("/")[2]

    def start(self, stage: Stage) -> None:
        file = stage.folder / "nginx.conf"
        file.write_text(CONFIGURATION.format(cores=stage.cores, folder=stage.folder, port=stage.port))
        stage.start(["nginx", "-p", stage.folder, "-c", file, "-g", "daemon off;"])

    def right(self, body: bytes, expected: Sequence[float]) -> bool:  # noqa: ARG002
        return True

"""What tests share, from `fixtures/`: real PostgreSQL and S3 servers, free ports, no network but loopback."""

import sys
from pathlib import Path

# The parts are plain modules, found from whichever folder a run is started.
sys.path.insert(0, str(Path(__file__).parent))

# In this order, each after those it imports: pytest rewrites the asserts of what it loads first.
pytest_plugins = [
    "fixtures.user",
    "fixtures.waiting",
    "fixtures.control_plane",
    "fixtures.network",
    "fixtures.platform",
    "fixtures.shared_server",
    "fixtures.postgres",
    "fixtures.s3",
    "fixtures.stores",
]

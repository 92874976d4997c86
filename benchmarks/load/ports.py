"""A port that nobody uses at the moment."""

import socket


def free_port() -> int:
    """One of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])

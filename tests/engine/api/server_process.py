"""A server in a process of its own, for tests that kill it: prints its port, then serves."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path

import uvicorn

from algorail.engine.api.app import create_app


def main(home: Path, port: int) -> None:
    """Serve on a loopback port with the kinds of the conftest beside this file."""
    spec = importlib.util.spec_from_file_location("kinds_for_tests", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    helpers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(helpers)
    engine = helpers.make_engine(home)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(create_app(engine.settings, engine=engine), log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

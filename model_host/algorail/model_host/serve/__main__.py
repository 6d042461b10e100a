"""A replica: `python -m algorail.model_host.serve --path models/digits --port 8001`.

The thread limits are set before anything numeric is imported. When the model is loaded and the port is
open, one line of JSON (`{"port": …, "pid": …}`) goes to `--ready-fd`; without it, to standard output.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

from algorail.engine.kit.errors import AlgorailError
from algorail.model_host.serve.threads import default_threads, limit_threads

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str] | None = None) -> int:
    """Run one replica until SIGTERM; 0 after a clean stop, 2 if the model cannot be served."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if options.parent and not _die_with(options.parent):
        return 0
    limit_threads(options.threads or default_threads())
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s {options.path.name} %(message)s",
    )
    from algorail.model_host.serve.server import serve  # noqa: PLC0415  # numpy reads the limits at import

    try:
        serve(options)
    except AlgorailError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 2
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m algorail.model_host.serve", description="Serve one packaged model."
    )
    parser.add_argument("--path", type=Path, required=True, help="folder of the packaged model")
    parser.add_argument("--name", default="", help="serve it under this name instead of its own")
    parser.add_argument("--version", default="1", help="version in the versioned paths")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 is any free one")
    parser.add_argument(
        "--trust", action="store_true", help="allow an artefact that runs code when it is loaded"
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="threads of numeric libraries; 0 is the CPU quota"
    )
    parser.add_argument("--max-batch", type=int, default=64, help="rows of one model call")
    parser.add_argument("--max-queue", type=int, default=1024, help="rows that may wait before 429")
    parser.add_argument("--grace", type=int, default=30, help="seconds for running requests after SIGTERM")
    parser.add_argument("--ready-fd", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _die_with(parent: int) -> bool:
    """Have the kernel end this process with its supervisor; False if that is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


if __name__ == "__main__":
    sys.exit(main())

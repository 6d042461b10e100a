"""Becomes a server that ends with its parent: `python -I -S _child.py SIGNAL UID GID PROGRAM ARGUMENT…`.

A script of its own, not a `preexec_fn`, which may deadlock in a process with threads. Signal 0, uid -1 and
gid -1 mean: leave as it is. Linux tells a child of its parent's death; elsewhere only a clean end stops it.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Drop privileges, ask for the signal, and become the program."""
    signal, uid, gid = (int(argument) for argument in arguments[:3])
    parent = os.getppid()
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After setuid(), which clears it.
    if signal and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)
        if os.getppid() != parent:
            raise SystemExit("the parent is gone")
    os.execv(arguments[3], arguments[3:])  # noqa: S606  # no shell is what we want


if __name__ == "__main__":
    main(sys.argv[1:])

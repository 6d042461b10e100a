"""How many threads a replica may use: from the quota of its control group, never from the host's cores.

A container with a quota of one core on a 64-core host that starts 64 OpenMP threads is throttled into a
slowdown of an order of magnitude. The libraries read these variables when they are imported, so
`limit_threads` runs before.
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def available_cpus(root: Path = Path("/")) -> float:
    """Cores this process may use: the smaller of its CPU affinity and the tightest quota above it.

    Args:
        root: Where `proc` and `sys` are mounted.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(affinity), *_quotas(root)])


def limit_threads(threads: int, environment: MutableMapping[str, str] = os.environ) -> None:
    """Tell every numeric library to use that many threads; one that the operator has set already stays."""
    for name in VARIABLES:
        environment.setdefault(name, str(threads))


def default_threads(replicas: int = 1, root: Path = Path("/")) -> int:
    """Threads for one of `replicas` that share this machine, at least one."""
    return max(1, math.floor(available_cpus(root) / replicas))


def _quotas(root: Path) -> list[float]:
    return [quota for folder in _groups(root) if (quota := _quota(folder)) is not None]


def _groups(root: Path) -> list[Path]:
    """The folders of this process's control groups and of all above them, version 2 and version 1."""
    folders: list[Path] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base = root / "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            base = root / "sys/fs/cgroup/cpu"
        else:
            continue
        parts = [part for part in path.split("/") if part not in {"", ".."}]
        folders += [base.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return folders


def _quota(folder: Path) -> float | None:
    """Cores allowed by one control group, None if it sets no limit."""
    words = _read(folder / "cpu.max").split()
    if len(words) != 2:
        words = [_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()]
    if not all(word.isdecimal() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""

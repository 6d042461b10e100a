"""FAISS, imported on first use: its import takes a third of a second that `algorail --help` need not pay."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def faiss() -> Any:
    """The module `faiss`."""
    return importlib.import_module("faiss")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let FAISS use `count` threads from this thread; other threads keep their own number (OpenMP)."""
    before = faiss().omp_get_max_threads()
    faiss().omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss().omp_set_num_threads(before)

"""Many byte strings in one file, each found in O(1), mapped into memory and shared by all processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def save_array(path: Path, array: Array) -> None:
    """Write an array as .npy; never with pickle."""
    np.save(path, array, allow_pickle=False)


def map_array(path: Path) -> Array:
    """A read-only array over a mapped .npy file; never with pickle.

    The view drops numpy's `memmap` class, whose element access is slow; it keeps the mapping alive.
    """
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array.view(np.ndarray)


class BlobWriter:
    """Writes `STEM.bin` (the strings) and `STEM.npy` (where each begins and ends).

    Args:
        folder: The artefact's folder.
        stem: Name of both files.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self._file = (folder / f"{stem}.bin").open("wb")
        self._spans = folder / f"{stem}.npy"
        self._ends = [0]

    def append(self, data: bytes) -> None:
        """Add the next string."""
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def finish(self, order: NDArray[np.int64] | None = None) -> None:
        """Close, and write the spans; item `i` of the blob is the string appended as number `order[i]`."""
        self.close()
        ends = np.asarray(self._ends, dtype=np.uint64)
        spans = np.stack([ends[:-1], ends[1:]], axis=1)
        save_array(self._spans, spans if order is None else spans[order])

    def close(self) -> None:
        """Close the file of the strings."""
        self._file.close()


class Blob(Sequence[bytes]):
    """The strings that a `BlobWriter` wrote.

    Args:
        folder: The artefact's folder.
        stem: Name of both files.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        path = folder / f"{stem}.bin"
        empty = path.stat().st_size == 0
        self._data = memoryview(b"") if empty else np.memmap(path, np.uint8, "r").data
        self._spans = map_array(folder / f"{stem}.npy")

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, item: Any) -> Any:
        start, end = self._spans[item].tolist()
        return bytes(self._data[start:end])

    def many(self, items: NDArray[np.int64]) -> list[memoryview]:
        """Several strings, without copying them."""
        return [self._data[start:end] for start, end in self._spans[items].tolist()]

    def texts(self, items: NDArray[np.int64]) -> list[str]:
        """Several strings as text."""
        return [str(data, "utf-8") for data in self.many(items)]

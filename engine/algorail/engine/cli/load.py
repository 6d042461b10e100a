"""From `FILE.py:NAME` to a plan and, if it has blocks of its own, a code bundle.

The file is imported here, in the author's own process: it is the author's code. The server never does.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from algorail.engine.dsl import Algorithm
from algorail.engine.kind import BlockKind
from algorail.engine.kit.errors import AlgorailError, InvalidInput, NotFound
from algorail.engine.plan import codec
from algorail.engine.plan.document import Plan
from algorail.engine.registry.bundles.archive import Bundle
from algorail.engine.registry.bundles.pack import local_modules, pack


@dataclass(frozen=True, slots=True)
class Loaded:
    """An algorithm as its file defines it, ready to be published.

    Attributes:
        plan: With the hash of the bundle in it.
        bundle: The code of its own blocks, None if it has none.
        needs: The algorithms of the same files that it calls; they must be there before it.
    """

    plan: Plan
    bundle: Bundle | None
    needs: tuple[Loaded, ...] = ()

    def document(self) -> dict[str, Any]:
        """The plan as it is sent."""
        return codec.to_dict(self.plan)

    def in_order(self) -> list[Loaded]:
        """This algorithm with those that it calls in front of it, each once."""
        ordered = [found for need in self.needs for found in need.in_order()]
        return [*{one.plan.name: one for one in [*ordered, self]}.values()]


_READERS = {".json": codec.from_json, ".yaml": codec.from_yaml, ".yml": codec.from_yaml}


def read(target: str, requirements: Iterable[str] = ()) -> Loaded:
    """What a person named: `FILE.py:NAME`, or a plan in YAML or JSON.

    Raises:
        NotFound: `file-not-found`, and what `load` raises.
    """
    reader = _READERS.get(Path(target).suffix)
    if reader is None:
        return load(target, requirements)
    try:
        return Loaded(reader(Path(target).read_bytes()), None)
    except OSError as error:
        raise NotFound(f"{target} cannot be read: {error.strerror}", code="file-not-found") from error


def load(target: str, requirements: Iterable[str] = ()) -> Loaded:
    """Import `FILE.py:NAME` (`:NAME` may be left out when the file defines one algorithm).

    Raises:
        NotFound: `file-not-found`, `algorithm-not-in-file` with the names that are there.
        InvalidInput: `file-does-not-import`, with what it raised.
    """
    path, _, name = target.partition(":")
    file = Path(path).resolve()
    if not file.is_file():
        raise NotFound(f"no file {path!r}", code="file-not-found")
    module = import_file(file)
    return _loaded(_pick(module, name, path), file, list(requirements))


def _loaded(algorithm: Algorithm, file: Path, requirements: list[str]) -> Loaded:
    local = {path.resolve() for path in local_modules(file, file.parent)}
    needs = tuple(
        _loaded(called, source, requirements)
        for called in algorithm.algorithms.values()
        if (source := _source(called)) in local
    )
    blocks = list(_own_blocks(algorithm, local))
    if not blocks:
        return Loaded(algorithm.plan, None, needs)
    bundle = pack(file, blocks, requirements)
    return Loaded(msgspec.structs.replace(algorithm.plan, bundle=bundle.digest), bundle, needs)


def _source(algorithm: Algorithm) -> Path:
    return Path(algorithm.function.__code__.co_filename).resolve()


def import_file(file: Path) -> ModuleType:
    """Import a file under its own name, with its folder in front of the path, as `python FILE` would.

    Raises:
        InvalidInput: `file-does-not-import`.
    """
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{file.name} is not a Python file", code="file-does-not-import")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except AlgorailError as error:  # misuse of the DSL, which names its cure
        where = _place(error, file)
        raise InvalidInput(
            f"{where}: {error.message}", code=error.code, cure=error.cure, problems=error.problems
        ) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InvalidInput(
            f"{_place(error, file)} does not import: {reason}", code="file-does-not-import"
        ) from error
    return module


def _place(error: BaseException, file: Path) -> str:
    """The file and the line in it that raised."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)
    ]
    if isinstance(error, SyntaxError) and error.filename == str(file):
        lines = [error.lineno]
    return f"{file.name}:{lines[-1]}" if lines else file.name


def _pick(module: ModuleType, name: str, path: str) -> Algorithm:
    found = {
        attribute: value
        for attribute, value in vars(module).items()
        if isinstance(value, Algorithm) and value.__module__ == module.__name__
    }
    if not name and len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    names = ", ".join(sorted(found)) or "none"
    wanted = f"no algorithm {name!r} in {path}" if name else f"{path} defines several algorithms"
    raise NotFound(wanted, code="algorithm-not-in-file", cure=f"write {path}:NAME, with one of: {names}")


def _own_blocks(algorithm: Algorithm, local: set[Path]) -> Iterator[tuple[BlockKind, str, str]]:
    """The blocks that the algorithm uses and that its own files define, with module and name."""
    waiting = dict(algorithm.kinds)
    for module in list(sys.modules.values()):
        source = getattr(module, "__file__", None)
        if not source or Path(source).resolve() not in local:
            continue
        for name, value in list(vars(module).items()):
            kind = getattr(value, "kind", None)
            defined_here = getattr(value, "__module__", module.__name__) == module.__name__
            if isinstance(kind, BlockKind) and defined_here and waiting.get(kind.key) is kind:
                del waiting[kind.key]
                yield kind, module.__name__, name

"""What a file needs to run elsewhere: its local modules, its declared requirements, its blocks.

Runs on the author's side, where the file has been imported anyway. Which modules belong to it is read
from the sources, not from what happens to be imported.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from algorail.engine.kind import BlockKind
from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.types import to_schema
from algorail.engine.registry.bundles.archive import BlockEntry, Bundle, Manifest, PortEntry, file_hash

_SCRIPT = re.compile(r"(?m)^# /// script\s*$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""Inline script metadata. Source: PEP 723, reference implementation."""


def pack(
    file: Path, blocks: Iterable[tuple[BlockKind, str, str]], requirements: Iterable[str] = ()
) -> Bundle:
    """Pack a file and the modules beside it that it imports.

    Args:
        file: The Python file that the algorithm stands in; its folder is the root of the bundle.
        blocks: The blocks to offer, each with its module and its name there.
        requirements: Packages (PEP 508) beside those that the file itself declares in a PEP 723 header.

    Raises:
        InvalidInput: `bundle-source`, if a module does not parse; `bundle-requirements`.
    """
    root = file.resolve().parent
    paths = sorted(local_modules(file.resolve(), root))
    sources = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    declared, python = script_metadata(file.read_text(encoding="utf-8"))
    manifest = Manifest(
        entry=file.stem,
        files={path: file_hash(source) for path, source in sources.items()},
        requirements=tuple(sorted({*declared, *requirements})),
        python=python,
        blocks={kind.key: _entry(kind, module, name) for kind, module, name in blocks},
    )
    return Bundle(manifest, sources)


def script_metadata(source: str) -> tuple[tuple[str, ...], str]:
    """The requirements and Python versions that a file declares in its PEP 723 header.

    Raises:
        InvalidInput: `bundle-requirements`, if the header does not read.
    """
    match = _SCRIPT.search(source)
    if match is None:
        return (), ""
    text = "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in match["content"].splitlines(keepends=True)
    )
    try:
        header = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"the script header is not TOML: {error}", code="bundle-requirements") from error
    declared = header.get("dependencies", [])
    if not isinstance(declared, list) or not all(isinstance(item, str) for item in declared):
        raise InvalidInput(
            f"dependencies must be a list of strings, got {declared!r}", code="bundle-requirements"
        )
    return tuple(declared), str(header.get("requires-python", ""))


def local_modules(file: Path, root: Path) -> set[Path]:
    """The file and every module under `root` that it imports, directly or not, parent packages too."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in _imports(path, root):
            waiting += _resolve(name, root)
    return found


def _imports(path: Path, root: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes(), filename=path.name)
    except SyntaxError as error:
        raise InvalidInput(f"{path.name} does not parse: {error}", code="bundle-source") from error
    package = path.relative_to(root).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*prefix, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _resolve(name: str, root: Path) -> list[Path]:
    """The files that importing `name` reads under `root`: the packages on the way and the module itself."""
    parts = name.split(".") if name else []
    folders = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    candidates = [folder / "__init__.py" for folder in folders]
    candidates += [folder.with_name(folder.name + ".py") for folder in folders]
    return [path for path in candidates if path.is_file()]


def _entry(kind: BlockKind, module: str, name: str) -> BlockEntry:
    signature = kind.signature(kind.config())
    return BlockEntry(
        module=module,
        name=name,
        inputs={
            port: PortEntry(
                schema=to_schema(spec.type), required=spec.required, default=spec.default, doc=spec.doc
            )
            for port, spec in signature.inputs.items()
        },
        output=to_schema(signature.output),
        effect=kind.effect,
        idempotent=kind.idempotent,
        summary=kind.summary,
        doc=kind.doc,
    )

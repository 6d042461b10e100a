"""The packages that a bundle declares: those of the server if they satisfy it, an overlay of its own if not.

An overlay is a virtual environment with the declared packages in front of the server's own, made once per
set of requirements and kept under ALGORAIL_HOME.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from algorail.engine.kit.errors import InvalidInput, Unavailable
from algorail.engine.registry.bundles.process import scrubbed_environment

INSTALL_SECONDS = 600.0
_INSTALLER_VARIABLES = (
    "PIP_", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""What an installer needs to reach its package index."""


def parse(requirements: Sequence[str], python: str = "") -> list[Requirement]:
    """Check declared requirements.

    Raises:
        InvalidInput: `bundle-requirements`, if one does not parse, names an address or a path, or this
            Python is not among the declared ones.
    """
    try:
        parsed = [Requirement(text) for text in requirements]
        allowed = SpecifierSet(python)
    except (InvalidRequirement, InvalidSpecifier) as error:
        raise InvalidInput(str(error), code="bundle-requirements") from error
    for requirement in parsed:
        if requirement.url:
            raise InvalidInput(
                f"{requirement.name} is declared by address; only packages by name are installed",
                code="bundle-requirements",
                cure="publish it to your package index and declare `name>=version`",
            )
    running = ".".join(map(str, sys.version_info[:3]))
    if running not in allowed:
        raise InvalidInput(
            f"the bundle needs Python {python}, this server runs {running}", code="bundle-requirements"
        )
    return parsed


def satisfied(requirements: Sequence[Requirement]) -> bool:
    """Whether this process's own packages satisfy all of them."""
    return all(_installed(requirement) for requirement in requirements)


def interpreter(requirements: Sequence[str], python: str, home: Path) -> Path:
    """The interpreter to run a bundle with; makes its environment if it must (blocking, up to minutes).

    Raises:
        InvalidInput: `bundle-requirements`.
        Unavailable: `bundle-environment`, with the installer's own last lines.
    """
    parsed = parse(requirements, python)
    if satisfied(parsed):
        return Path(sys.executable)
    tag = f"{sys.implementation.cache_tag}\n" + "\n".join(sorted(map(str, parsed)))
    target = home / "environments" / hashlib.sha256(tag.encode()).hexdigest()[:24]
    if not target.exists():
        _make(target, [str(requirement) for requirement in parsed])
    return target / "bin" / "python"


def _installed(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _make(target: Path, requirements: list[str]) -> None:
    """Build beside the target and rename, so that a half-made environment is never used."""
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        venv.create(building, with_pip=find_spec("pip") is None, symlinks=os.name != "nt")
        python = building / "bin" / "python"
        _overlay(building)
        _install(python, requirements)
        os.rename(building, target)  # noqa: PTH104  # atomic, and an existing target means another process won
    except (OSError, subprocess.CalledProcessError) as error:
        if not target.exists():
            raise Unavailable(
                f"the environment could not be made: {error}", code="bundle-environment"
            ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _overlay(environment: Path) -> None:
    """Let the server's own packages show through, behind those of the environment."""
    folders = dict.fromkeys([*site.getsitepackages(), sysconfig.get_path("purelib")])
    library = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    lines = [f"import site; site.addsitedir({folder!r})" for folder in folders]
    (library / "_algorail_server.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _install(python: Path, requirements: list[str]) -> None:
    # Wheels only: building from source would run a stranger's code with the rights of the server.
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--only-binary=:all:",
        *requirements,
    ]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            env=scrubbed_environment(also=_INSTALLER_VARIABLES),
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"installing {', '.join(requirements)} took longer than {INSTALL_SECONDS:.0f} s",
            code="bundle-environment",
        ) from error
    if done.returncode:
        last = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise Unavailable(
            f"installing {', '.join(requirements)} failed: {last}",
            code="bundle-environment",
            cure="check the names and versions, that there are wheels, and that a package index is in reach",
            retryable=False,
        )

"""Where all state lives: `ALGORAIL_HOME`, or the user's data folder."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path


def home_folder() -> Path:
    """The state folder of this user; it need not exist yet."""
    named = os.environ.get("ALGORAIL_HOME")
    return Path(named).expanduser() if named else user_data_path("algorail", appauthor=False)


def make_private(folder: Path) -> None:
    """Make a folder that only this user can enter; one that is there stays as its owner made it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def write_private(file: Path, text: str) -> None:
    """Write a file that only this user can read, whatever the umask and an older file say.

    It appears whole or not at all, also when two processes write it at once.
    """
    make_private(file.parent)
    building = file.with_name(f".{file.name}.{os.getpid()}")
    building.unlink(missing_ok=True)
    descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as target:
        target.write(text)
    building.replace(file)

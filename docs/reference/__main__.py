"""Writes the generated pages of this folder and the numbers of the README: `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from docs.reference.pages import generated


def main(words: Sequence[str]) -> int:
    """Write what differs and say so; with `--check` only say so, and fail if anything does."""
    stale = {
        path: text
        for path, text in generated().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    checking = "--check" in words
    for path, text in stale.items():
        if not checking:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{'stale: ' if checking else 'wrote '}{path}")
    return 1 if checking and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Writes the generated pages of this folder and the numbers of the README: `make docs`."""

from __future__ import annotations

from docs.reference.pages import generated


def main() -> None:
    """Write what differs, and say so."""
    for path, text in generated().items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()

"""The picture of the README, drawn from the example itself."""

from __future__ import annotations

from algorail.engine.cli.load import load
from algorail.engine.plan.picture import svg
from docs.reference.codes import ROOT


def read_digit() -> str:
    """`examples/read_digit` as SVG."""
    return svg(load(f"{ROOT / 'examples' / 'read_digit' / 'algorithm.py'}:read_digit").plan)

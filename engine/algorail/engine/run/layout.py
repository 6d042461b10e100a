"""What generated code keeps of a run: readings of the clock and outputs.

They are local variables until the run ends: success hands them over as one tuple, failure reads them from
the frame. So keeping costs a block one reading of the clock and little else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from algorail.engine.run.source import Function, Origin


@dataclass(frozen=True, slots=True)
class Span:
    """Places of a node's start, end and output among what is kept."""

    start: int
    end: int
    output: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What the values of a kept tuple are; empty where nothing is kept.

    Attributes:
        names: The variables, in the order of the tuple.
        spans: By node; those that cannot run are missing.
        whole: The run's own start, end and result.
    """

    names: Sequence[str] = ()
    spans: Mapping[str, Span] = field(default_factory=dict)
    whole: Span = Span(0, 0, 0)


@dataclass(slots=True)
class Keeper:
    """Writes the clock readings of one plan and remembers which variables will be kept.

    Attributes:
        main: The outermost generated function; all that is kept is a variable of it.
    """

    main: Function
    _places: dict[str, int] = field(default_factory=dict)
    _spans: dict[str, Span] = field(default_factory=dict)
    _readings: int = 0

    def now(self, function: Function, origin: Origin, *, surely: bool = True) -> int:
        """Read the clock; where it has just been read, that reading serves again.

        Args:
            surely: Whether every run that succeeds gets here.
        """
        if function.reading is None:
            name = f"at_{self._readings}"
            self._readings += 1
            function.write(f"{function.assigns(name, self.main)} = now()", origin)
            function.reading = name
            return self.keep(name, surely=surely)
        return self._places[function.reading]

    def keep(self, name: str, *, surely: bool = True) -> int:
        """Keep a variable of the outermost function."""
        if not surely:
            self.main.shared[name] = None
        return self._places.setdefault(name, len(self._places))

    def span(self, node: str, start: int, end: int, output: int) -> None:
        """Note where a node's part of the record is."""
        self._spans[node] = Span(start, end, output)

    def hand_over(self, start: int, end: int, result: str) -> Layout:
        """Write what keeps the variables of a run that has succeeded."""
        whole = Span(start, end, self.keep(result))
        self.main.write(f"ctx.kept = source, inputs, {', '.join(self._places)}")
        return Layout(tuple(self._places), self._spans, whole)

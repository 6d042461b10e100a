"""The variant table: which of 10,000 segments belongs to which arm, and how it changes with few moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import index
from typing import Any

from algorail.ab_testing.assign.hashing import SEGMENTS, SEPARATOR, unit_key
from algorail.ab_testing.assign.weights import MAX_ARMS, Weight, apportion, transfers
from algorail.engine.kit.errors import InvalidInput

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Epoch:
    """A time during which nothing about the table changed; the analysis stratifies by it.

    Attributes:
        id: 1, 2, 3 … within one experiment.
        weights: Segments per arm, 10,000 in sum.
        ramp: Segments of the exposure hash that were in.
        since_ns: When it began, nanoseconds since the epoch (UTC).
    """

    id: int
    weights: Mapping[str, int]
    ramp: int
    since_ns: int


@dataclass(frozen=True, slots=True)
class LayerClaim:
    """The segments of a layer that an experiment owns; experiments of one layer exclude each other.

    Attributes:
        name: The layer's name, shared by its experiments; the salt comes from it.
        ranges: Half-open, ascending, without overlap: `((0, 5_000),)` is the first half.
    """

    name: str
    ranges: tuple[tuple[int, int], ...] = ((0, SEGMENTS),)

    salt: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "salt", f"layer:{self.name}")
        edges = [0, *(edge for pair in self.ranges for edge in pair), SEGMENTS]
        if any(len(pair) != 2 or pair[0] >= pair[1] for pair in self.ranges) or edges != sorted(edges):
            raise _invalid(f"layer ranges {self.ranges} must be ascending pairs within 0 … {SEGMENTS}")

    def __contains__(self, segment: object) -> bool:
        return isinstance(segment, int) and any(start <= segment < stop for start, stop in self.ranges)


@dataclass(frozen=True, slots=True)
class VariantTable:
    """Which arm every segment belongs to. Immutable: a change gives the next table, with the next epoch.

    Attributes:
        experiment: Its name; the salts come from it.
        control: The arm for whoever is not in the experiment.
        arms: Names, sorted; an arm's place is its number in `segments`.
        segments: 10,000 bytes, each the number of an arm.
        epoch: The current one.
        overrides: Arm by unit key, for testers; the only way to an arm of weight 0.
        layer: What the experiment owns of its layer; None when it has no layer.
    """

    experiment: str
    control: str
    arms: tuple[str, ...]
    segments: bytes = field(repr=False)
    epoch: Epoch
    overrides: Mapping[str, str] = field(default_factory=dict)
    layer: LayerClaim | None = None
    variant_salt: str = field(init=False, repr=False)
    exposure_salt: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variant_salt", f"variant:{self.experiment}")
        object.__setattr__(self, "exposure_salt", f"exposure:{self.experiment}")
        self._check()

    @classmethod
    def new(
        cls,
        experiment: str,
        weights: Mapping[str, Weight],
        *,
        since_ns: int,
        control: str | None = None,
        ramp: int = SEGMENTS,
        layer: LayerClaim | None = None,
    ) -> VariantTable:
        """The first table of an experiment, in epoch 1.

        Args:
            experiment: Name; two experiments of different names assign independently of each other.
            weights: Any non-negative numbers, by arm; only their ratios count.
            since_ns: The time now.
            control: The arm for units outside; the first of `weights` if not said.
            ramp: Ten-thousandths of the units that are in at all.
            layer: Claim on a layer, for mutually exclusive experiments.

        Raises:
            InvalidInput: If the weights, the control or the ramp cannot be used.
        """
        counts = apportion(weights)
        segments = b"".join(bytes([place]) * count for place, count in enumerate(counts.values()))
        epoch = Epoch(1, counts, ramp, since_ns)
        return cls(experiment, control or next(iter(weights)), tuple(counts), segments, epoch, layer=layer)

    def reweighted(
        self, weights: Mapping[str, Weight], *, since_ns: int, control: str | None = None
    ) -> VariantTable:
        """The table with other weights: arms may come and go, and as few units as possible change their arm.

        An arm hands its highest segments to arms behind it and its lowest to arms before it, so that going
        back to the former weights of two arms also gives every unit its former arm back.

        Raises:
            InvalidInput: If the weights cannot be used, or an override names an arm that would be gone.
        """
        counts = apportion(weights)
        owner = [self.arms[place] for place in self.segments]
        for giver, taker, count in transfers(self.epoch.weights, counts):
            owned = [segment for segment, arm in enumerate(owner) if arm == giver]
            for segment in owned[-count:] if taker > giver else owned[:count]:
                owner[segment] = taker
        places = {arm: place for place, arm in enumerate(counts)}
        kept = self.control if self.control in counts else next(iter(weights))
        return replace(
            self,
            control=control or kept,
            arms=tuple(counts),
            segments=bytes(places[arm] for arm in owner),
            epoch=Epoch(self.epoch.id + 1, counts, self.epoch.ramp, since_ns),
        )

    def ramped(self, ramp: int, *, since_ns: int) -> VariantTable:
        """The table with more (or fewer) units in; nobody who stays in changes the arm.

        Raises:
            InvalidInput: If `ramp` is not between 0 and 10,000.
        """
        return replace(self, epoch=Epoch(self.epoch.id + 1, self.epoch.weights, ramp, since_ns))

    def overridden(self, overrides: Mapping[object, str]) -> VariantTable:
        """The table with these overrides in place of the former ones; the epoch stays.

        Raises:
            InvalidInput: If a key is no unit, or an arm is not in the table.
        """
        keys = {unit: unit_key(unit) for unit in overrides}
        lost = [unit for unit, key in keys.items() if key is None]
        if lost:
            raise _invalid(f"overrides for {lost} cannot be: a unit is non-empty text or a whole number")
        return replace(self, overrides={str(keys[unit]): arm for unit, arm in overrides.items()})

    @property
    def outside(self) -> str:
        """The arm for units outside the experiment: `control`, or the largest arm if that has weight 0."""
        weights = self.epoch.weights
        if weights[self.control]:
            return self.control
        return min(self.arms, key=lambda arm: (-weights[arm], arm))

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: the segments as runs of (arm's number, length)."""
        runs = [[place, sum(1 for _ in run)] for place, run in groupby(self.segments)]
        data: dict[str, Any] = {
            "schema": _SCHEMA,
            "experiment": self.experiment,
            "control": self.control,
            "arms": list(self.arms),
            "runs": runs,
            "epoch": self.epoch.id,
            "ramp": self.epoch.ramp,
            "since_ns": self.epoch.since_ns,
        }
        if self.overrides:
            data["overrides"] = dict(self.overrides)
        if self.layer is not None:
            data["layer"] = {"name": self.layer.name, "ranges": [list(pair) for pair in self.layer.ranges]}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VariantTable:
        """The table that `to_dict` wrote.

        Raises:
            InvalidInput: If it is of another schema, lacks something or does not add up.
        """
        if data.get("schema") != _SCHEMA:
            raise _invalid(f"variant table of schema {data.get('schema')!r}, must be {_SCHEMA}")
        try:
            arms = tuple(str(arm) for arm in data["arms"])
            segments = _expanded(data["runs"], len(arms))
            weights = {arm: segments.count(place) for place, arm in enumerate(arms)}
            layer = data.get("layer")
            return cls(
                experiment=data["experiment"],
                control=data["control"],
                arms=arms,
                segments=segments,
                epoch=Epoch(index(data["epoch"]), weights, index(data["ramp"]), index(data["since_ns"])),
                overrides=dict(data.get("overrides", {})),
                layer=layer and LayerClaim(layer["name"], tuple((a, b) for a, b in layer["ranges"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _invalid(f"not a variant table: {error!r}") from error

    def _check(self) -> None:
        """Refuse a table that could serve anything else than what it says."""
        names = (self.experiment, self.layer.name if self.layer else "-")
        if not all(name and SEPARATOR not in name for name in names):
            raise _invalid(f"names {names} must be non-empty and without the character U+001F")
        if not 0 <= self.epoch.ramp <= SEGMENTS:
            raise _invalid(f"ramp == {self.epoch.ramp}, must be between 0 and {SEGMENTS}")
        if len(self.segments) != SEGMENTS or list(self.arms) != sorted(set(self.arms)):
            raise _invalid(f"a table has {SEGMENTS} segments and sorted, distinct arms")
        unknown = {self.control, *self.overrides.values()} - set(self.arms)
        if unknown:
            raise _invalid(
                f"no such arm: {sorted(unknown)}; the table has {list(self.arms)}",
                cure="change the control or the overrides first, or keep the arm with weight 0",
            )


def _expanded(runs: Iterable[tuple[int, int]], arms: int) -> bytes:
    """Runs back to 10,000 bytes; never more, whatever the lengths say."""
    segments = bytearray()
    for place, length in runs:
        if not (0 <= place < min(arms, MAX_ARMS) and 0 < length <= SEGMENTS - len(segments)):
            raise ValueError(f"a run of {length} segments of arm number {place}")
        segments += bytes([place]) * length
    return bytes(segments)


def _invalid(message: str, cure: str = "") -> InvalidInput:
    return InvalidInput(message, code="split-invalid", cure=cure)

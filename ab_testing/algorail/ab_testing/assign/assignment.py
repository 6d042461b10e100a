"""One decision: which arm for this unit, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from algorail.ab_testing.assign.hashing import SEGMENTS, segment_of, unit_key
from algorail.ab_testing.assign.table import VariantTable


class Reason(StrEnum):
    """Why a unit got its arm; only `ASSIGNED` units are in the experiment."""

    ASSIGNED = "assigned"
    """The variant hash decided."""
    OVERRIDE = "override"
    """Somebody set this unit's arm by hand."""
    NO_UNIT = "no-unit"
    """There was no usable unit key."""
    NOT_IN_LAYER = "not-in-layer"
    """The unit belongs to another experiment of the layer, or to none."""
    NOT_EXPOSED = "not-exposed"
    """The ramp has not reached the unit."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What was decided for a unit.

    Attributes:
        variant: The arm to serve.
        reason: Why.
        bucket: Segment of the variant hash, None unless it decided.
        epoch: The table's epoch at the time.
        propensity: Chance of this arm for a unit that is in, 1 where no chance was involved.
    """

    variant: str
    reason: Reason
    bucket: int | None
    epoch: int
    propensity: float

    @property
    def in_experiment(self) -> bool:
        """Whether the unit counts in an analysis."""
        return self.reason is Reason.ASSIGNED


def assign(table: VariantTable, unit: object) -> Assignment:
    """The arm of a unit: a pure function of the table and the unit's key.

    Three independent hashes: the layer's salt says whether this experiment may have the unit, the exposure
    salt whether the ramp has reached it, the variant salt which arm. So a ramp flips nobody, and the arms of
    two experiments are not correlated.

    Args:
        table: The experiment's table.
        unit: Text or a whole number; anything else is not in the experiment (see `unit_key`).

    Example:
        >>> table = VariantTable.new("checkout", {"3": 90, "4": 10}, since_ns=0)
        >>> assign(table, "customer-17").variant, assign(table, None).reason.value
        ('3', 'no-unit')
    """
    key = unit_key(unit)
    if key is None:
        return _outside(table, Reason.NO_UNIT)
    if key in table.overrides:
        return Assignment(table.overrides[key], Reason.OVERRIDE, None, table.epoch.id, 1.0)
    layer = table.layer
    if layer is not None and segment_of(layer.salt, key) not in layer:
        return _outside(table, Reason.NOT_IN_LAYER)
    ramp = table.epoch.ramp
    if ramp < SEGMENTS and segment_of(table.exposure_salt, key) >= ramp:
        return _outside(table, Reason.NOT_EXPOSED)
    bucket = segment_of(table.variant_salt, key)
    variant = table.arms[table.segments[bucket]]
    propensity = table.epoch.weights[variant] / SEGMENTS
    return Assignment(variant, Reason.ASSIGNED, bucket, table.epoch.id, propensity)


def _outside(table: VariantTable, reason: Reason) -> Assignment:
    return Assignment(table.outside, reason, None, table.epoch.id, 1.0)

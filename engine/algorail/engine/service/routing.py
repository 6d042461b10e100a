"""Which version answers: aliases and their splits, remembered for less than two seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from algorail.ab_testing.assign import Assignment, Reason, VariantTable, assign
from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import Conflict, NotFound
from algorail.engine.run.compile import CompiledPlan
from algorail.engine.service.loading import Loader
from algorail.engine.service.splits import control_version, split_of
from algorail.engine.service.versions import alias_of
from algorail.engine.store import algorithms, aliases
from algorail.engine.store.database import Database

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Route:
    """What a name and a version specification mean now.

    Attributes:
        team: Whose algorithm it is.
        alias: The alias asked for, empty for a version number.
        table: The split of the alias, None if it means one version.
        version: The version, or that of the split's control arm.
        expires: Monotonic second after which this must be read again.
        only: What every call gets, if there is no split.
    """

    algorithm: str
    team: str
    alias: str
    version: int
    table: VariantTable | None
    expires: float
    only: Choice = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "only", Choice(self.version, "", "alias" if self.alias else "pinned"))


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that answers one call, and why.

    Attributes:
        reason: As in the run record: `pinned`, `alias`, or `split` with how the unit was assigned.
        labels: Of the run: `split.epoch` and `split.propensity`, without which a split cannot be analysed.
    """

    version: int
    variant: str
    reason: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Router:
    """Resolves names. Safe to use from several threads.

    Args:
        database: Where aliases stand.
        ttl: Seconds a route is remembered: the longest that another process's move goes unnoticed.
        clock: Where to read the time.
    """

    def __init__(self, database: Database, ttl: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._ttl = ttl
        self._clock = clock
        self._routes: dict[tuple[str, str], Route] = {}

    def remembered(self, name: str, spec: str) -> Route | None:
        """The route if it is in memory and fresh."""
        route = self._routes.get((name, spec))
        return route if route is not None and route.expires > self._clock.monotonic() else None

    def resolve(self, name: str, spec: str) -> Route:
        """The route, from memory or from the database. Blocking.

        Raises:
            NotFound: If there is no such algorithm, alias or version.
            Conflict: `archived`, if it was taken out of use.
        """
        route = self.remembered(name, spec)
        if route is None:
            # The time before the read counts: what moved during it must be seen when this expires.
            expires = self._clock.monotonic() + self._ttl
            route = self._read(name, spec, expires)
            if len(self._routes) >= _REMEMBERED:
                self._routes.clear()
            self._routes[name, spec] = route
        return route

    def forget(self, name: str) -> None:
        """Read this algorithm's routes again: something about it changed in this process."""
        for key in [key for key in list(self._routes) if key[0] == name]:
            self._routes.pop(key, None)

    def _read(self, name: str, spec: str, expires: float) -> Route:
        alias = alias_of(spec)
        with self._database.read() as tx:
            algorithm = algorithms.get(tx, name)
            if algorithm.archived_ns is not None:
                raise _archived(f"the algorithm {name!r}")
            if alias is None:
                found = algorithms.version(tx, name, int(spec))
                if found.archived_ns is not None:
                    raise _archived(f"version {spec} of {name!r}")
                return Route(name, algorithm.team, "", int(spec), None, expires)
            row = aliases.get(tx, name, alias)
        return Route(name, algorithm.team, alias, control_version(row), split_of(row), expires)


def choose(route: Route, unit: object, run_id: str) -> Choice:
    """The version for a unit. Without a unit, the run itself is the unit: by chance, but on record.

    Args:
        route: What was resolved.
        unit: Unit key; empty or None if the caller named none.
        run_id: The run's identity.
    """
    if route.table is None:
        return route.only
    assignment: Assignment = assign(route.table, unit)
    if assignment.reason is Reason.NO_UNIT:
        return _choice(assign(route.table, run_id), assignment.reason)
    return _choice(assignment, assignment.reason)


def _choice(assignment: Assignment, reason: Reason) -> Choice:
    labels = {"split.epoch": str(assignment.epoch), "split.propensity": f"{assignment.propensity:.6g}"}
    return Choice(int(assignment.variant), assignment.variant, f"split:{reason.value}", labels)


class SubAlgorithms:
    """Finds compiled sub-algorithms for `run.compile`; an alias is asked for at every run.

    Sub-algorithms of a split alias run its control version: a caller's experiment is not its callee's.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self.loader: Loader | None = None
        """Set by the engine: the loader itself needs this object first."""

    def __call__(self, name: str, spec: str) -> CompiledPlan:
        """The compiled plan. From memory, but for the first call after a move."""
        if self.loader is None:
            raise NotFound(f"there is nowhere to look for the algorithm {name!r}")
        # A number is taken as it is: a version that was archived still serves those that are pinned to it.
        moves = spec.startswith("@")
        version = self._router.resolve(name, spec).version if moves else int(spec)
        return self.loader.load(name, version).compiled


def _archived(what: str) -> Conflict:
    return Conflict(f"{what} is archived", code="archived", cure="publish it again, or call another version")


__all__ = ["Choice", "Route", "Router", "SubAlgorithms", "choose"]

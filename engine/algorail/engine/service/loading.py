"""Published versions made ready to run, and kept."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from algorail.engine.kind import Services
from algorail.engine.kit.errors import Conflict, NotFound
from algorail.engine.plan import codec
from algorail.engine.plan.document import Plan
from algorail.engine.plan.values import compile_validator, inputs_validator
from algorail.engine.record.shape import RecordShape
from algorail.engine.run.compile import CompiledPlan, compile_plan
from algorail.engine.run.control import Algorithms
from algorail.engine.run.trace import Identity
from algorail.engine.service.library import Library
from algorail.engine.store import algorithms
from algorail.engine.store.database import Database


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version, ready to be called.

    Attributes:
        plan: The published plan.
        compiled: Its code.
        validate: From decoded JSON to checked inputs with their defaults.
        shape: What the record must know of it.
        check_output: Refuses an answer that is not of the declared type.
    """

    algorithm: str
    version: int
    plan_hash: str
    plan: Plan
    compiled: CompiledPlan
    shape: RecordShape
    validate: Callable[[Any], dict[str, Any]]
    check_output: Callable[[Any], Any]


class Loader:
    """Loads versions once and keeps the most recently used. Safe to use from several threads.

    Args:
        database: Where versions are.
        library: Finds kinds.
        services: What blocks get from the process.
        find: Finds the compiled plans of sub-algorithms.
        kept: Versions kept.
    """

    def __init__(
        self,
        database: Database,
        library: Library,
        services: Services,
        find: Algorithms,
        *,
        kept: int,
    ) -> None:
        self._database = database
        self._library = library
        self._services = services
        self._find = find
        self._kept = kept
        self._loaded: OrderedDict[tuple[str, int], Loaded] = OrderedDict()
        self._opening: list[tuple[str, int]] = []
        self._shapes: dict[str, RecordShape] = {}
        self._lock = threading.RLock()

    def get(self, name: str, version: int) -> Loaded | None:
        """The version if it is in memory."""
        found = self._loaded.get((name, version))
        if found is not None:
            with contextlib.suppress(KeyError):  # another thread may have let go of it just now
                self._loaded.move_to_end((name, version))
        return found

    def load(self, name: str, version: int) -> Loaded:
        """The version, from memory or from the database. Blocking.

        Raises:
            NotFound: If there is no such version, or a kind that it names is not installed here.
            Conflict: `sub-algorithm-cycle`, if aliases moved so that it would call itself.
        """
        with self._lock:
            found = self._loaded.get((name, version))
            if found is None:
                found = self._loaded[name, version] = self._opened(name, version)
                if len(self._loaded) > self._kept:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end((name, version))
            return found

    def compile(self, plan: Plan, identity: Identity) -> CompiledPlan:
        """The code of any checked plan, kept by nobody. Blocking."""
        return compile_plan(
            plan,
            kinds=self._library.kinds(plan),
            services=self._services,
            algorithms=self._find,
            identity=identity,
        )

    def shape(self, plan_hash: str) -> RecordShape | None:
        """How runs of a published plan are recorded and read; None if there is no such plan. Blocking."""
        found = self._shapes.get(plan_hash)
        if found is not None:
            return found
        try:
            with self._database.read() as tx:
                plan = codec.from_json(algorithms.by_hash(tx, plan_hash).plan)
            return self._shape(plan_hash, plan)
        except NotFound:
            return None

    def shape_of(self, plan: Plan) -> RecordShape:
        """The same for any checked plan."""
        return RecordShape.of(plan, self._library.check(plan).node_types, self.shape)

    def _shape(self, plan_hash: str, plan: Plan) -> RecordShape:
        shape = self._shapes[plan_hash] = self.shape_of(plan)
        if len(self._shapes) > 4 * self._kept:
            self._shapes.pop(next(iter(self._shapes)))
        return shape

    def _opened(self, name: str, version: int) -> Loaded:
        """Read a version and, on the way, those that it calls: all in the thread that holds the lock."""
        if (name, version) in self._opening:
            path = " → ".join(f"{one} {number}" for one, number in [*self._opening, (name, version)])
            raise Conflict(
                f"the algorithm would call itself: {path}",
                code="sub-algorithm-cycle",
                cure="point one of the aliases between them to a version that does not lead back",
            )
        self._opening.append((name, version))
        try:
            return self._read(name, version)
        finally:
            self._opening.pop()

    def _read(self, name: str, version: int) -> Loaded:
        with self._database.read() as tx:
            found = algorithms.version(tx, name, version)
        plan = codec.from_json(found.plan)
        identity = Identity(version=version, plan_hash=found.plan_hash)
        return Loaded(
            algorithm=name,
            version=version,
            plan_hash=found.plan_hash,
            plan=plan,
            compiled=self.compile(plan, identity),
            shape=self._shape(found.plan_hash, plan),
            validate=inputs_validator(plan.inputs, decoded=True),
            check_output=compile_validator(plan.output, coerce=False),
        )


__all__ = ["Loaded", "Loader"]

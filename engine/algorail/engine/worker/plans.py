"""Published versions in their durable form, made once and kept."""

from __future__ import annotations

from collections import OrderedDict

from algorail.engine.kind import Services
from algorail.engine.run.compile import compile_plan
from algorail.engine.service.library import Library
from algorail.engine.service.loading import Loader
from algorail.engine.service.routing import Router
from algorail.engine.worker.journal import DurablePlan, has_algorithms


class DurablePlans:
    """Makes plans durable. Used from one event loop, which may wait for the first use of a version.

    Args:
        loader: Versions ready to run; their blocks, pools, caches and breakers are shared.
        library: Finds kinds.
        router: What the aliases of sub-algorithms mean.
        services: What blocks get from the process.
        kept: Versions kept.
    """

    def __init__(
        self, loader: Loader, library: Library, router: Router, services: Services, *, kept: int
    ) -> None:
        self._loader = loader
        self._library = library
        self._router = router
        self._services = services
        self._kept = kept
        self._plans: OrderedDict[tuple[str, int], DurablePlan] = OrderedDict()

    def get(self, name: str, version: int) -> DurablePlan:
        """The durable form of a version. Raises `NotFound`."""
        plan = self._plans.get((name, version))
        if plan is None:
            plan = self._plans[name, version] = self._make(name, version)
            if len(self._plans) > self._kept:
                self._plans.popitem(last=False)
        self._plans.move_to_end((name, version))
        return plan

    def _make(self, name: str, version: int) -> DurablePlan:
        loaded = self._loader.load(name, version)
        compiled = loaded.compiled
        if has_algorithms(loaded.plan):
            compiled = compile_plan(
                loaded.plan,
                kinds=self._library.kinds(loaded.plan),
                services=self._services,
                algorithms=self._find,
                identity=compiled.identity,
            )
        return DurablePlan.of(compiled, self._services.clock, self.get)

    def _find(self, name: str, spec: str) -> DurablePlan:
        return self.get(name, self._router.resolve(name, spec).version)


__all__ = ["DurablePlans"]

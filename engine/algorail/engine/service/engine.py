"""The engine as one object: what a composition root makes from settings, starts and closes.

    engine = Engine(settings)
    await engine.start()
    ...
    await engine.aclose()

It holds the parts together and does nothing itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import AlgorailError
from algorail.engine.kit.home import make_private
from algorail.engine.record.store import RecordStore
from algorail.engine.record.writer import RecordWriter, WriterOptions
from algorail.engine.registry.bundles.runner import BundlePolicy, BundleRunner
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.access import Access
from algorail.engine.service.admission import Admission
from algorail.engine.service.aliases import Aliases
from algorail.engine.service.asynchronous import Asynchronous
from algorail.engine.service.attention import Attention
from algorail.engine.service.audit import Audit
from algorail.engine.service.bundles import BundleKindsSource, Bundles
from algorail.engine.service.catalogue import Catalogue
from algorail.engine.service.closing import Closing
from algorail.engine.service.drafts import Drafts
from algorail.engine.service.idempotency import Idempotency
from algorail.engine.service.invoking import Invoker
from algorail.engine.service.keys import Keys
from algorail.engine.service.library import Library
from algorail.engine.service.loading import Loader
from algorail.engine.service.publishing import Publishing
from algorail.engine.service.records import RecordForm, drop_old_days, record_store
from algorail.engine.service.replaying import Replaying
from algorail.engine.service.routing import Router, SubAlgorithms
from algorail.engine.service.runs import Runs
from algorail.engine.service.services import ProcessServices
from algorail.engine.service.settings import Settings
from algorail.engine.service.totals import RunTotals
from algorail.engine.service.warming import Warmer
from algorail.engine.store.database import Database
from algorail.engine.store.group_commit import GroupCommit
from algorail.migrations import is_current, upgrade

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 3_600.0


class Engine:
    """All parts of an engine in one process.

    Args:
        settings: What the operator says.
        kinds: Installed kinds; those of all installed packages unless a test brings its own.
        bundles: Runs code bundles; worker processes unless something else is given.
        records: Where runs are kept; what fits the database unless something else is given. Closed with it.
        clock: Where runs read the time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        kinds: InstalledKinds | None = None,
        bundles: BundleKindsSource | None = None,
        records: RecordStore | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        limits = settings.engine
        self.settings = settings
        self.database = Database(settings.database_url)
        self.records = records or record_store(settings, self.database)
        self._form = RecordForm(settings)
        self.writer = RecordWriter(
            self.records,
            options=WriterOptions(window_bytes=limits.record_window_bytes),
            encoder=self._form.encoder,
        )
        self.told = self._form.told
        self.services = ProcessServices(settings.home, limits.blocks, clock)
        self.installed = kinds or InstalledKinds()
        self.bundles = Bundles(self.database)
        self._runner = bundles or BundleRunner(
            settings.home, self.bundles.archive, BundlePolicy(mode=limits.bundle_policy)
        )
        self.library = Library(self.database, self.installed, self._runner)
        self.router = Router(self.database, limits.routing_ttl)
        find = SubAlgorithms(self.router)
        self.loader = Loader(self.database, self.library, self.services, find, kept=limits.compiled_plans)
        find.loader = self.loader
        self.access = Access(self.database, self.records)
        self.totals = RunTotals()
        self.writer.aside.append(self.totals.settle)
        self.admission = Admission(limits.max_runs, limits.max_waiting, limits.admission_wait)
        self.idempotency = Idempotency(self.database, limits.idempotency_days)
        self.invoker = Invoker(
            self.router,
            self.loader,
            self.writer,
            admission=self.admission,
            idempotency=self.idempotency,
            totals=self.totals,
            told=self.told,
            default_deadline=limits.default_deadline,
            body_limit=limits.body_limit_bytes,
            clock=clock,
        )
        self.runs = Runs(self.records, self.loader, self.access, self._form.masked_unit)
        self.commits = GroupCommit(self.database)
        self.closing = Closing(self.database, self.loader, self.writer)
        self.asynchronous = Asynchronous(
            self.database,
            self.commits,
            self.invoker,
            runs=self.runs,
            closing=self.closing,
            most=limits.async_waiting,
            body_limit=limits.body_limit_bytes,
            idempotency_days=limits.idempotency_days,
        )
        self.attention = Attention(self.database)
        self.catalogue = Catalogue(self.database, self.installed, self.loader)
        self.publishing = Publishing(self.database, self.library)
        self.replaying = Replaying(
            self.runs,
            self.loader,
            self.router,
            publishing=self.publishing,
            access=self.access,
            recorder=self.writer,
            encoder=self._form.encoder,
            seconds=limits.max_deadline,
        )
        self.drafts = Drafts(self.database)
        self.aliases = Aliases(self.database, self.library)
        self.keys = Keys(self.database, settings.home)
        self.audit = Audit(self.database)
        self._warmer = Warmer(self.database, self.loader, self._runner)
        for part in (self.publishing, self.aliases, self.catalogue):
            part.changed += [self.router.forget, self._warmer.changed]
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> str | None:
        """Migrate the database and make ready; returns the admin key if this start made it."""
        make_private(self.settings.home)
        await asyncio.to_thread(upgrade, self.database.engine)
        await asyncio.to_thread(self._form.load_salt, self.database)
        made = await asyncio.to_thread(self.keys.ensure_admin)
        self._sweeper = asyncio.create_task(self._sweep())
        self._warmer.start()
        return made

    async def aclose(self) -> None:
        """Commit what was recorded and release everything. Runs must have ended."""
        self.admission.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        await self._warmer.aclose()
        await asyncio.to_thread(self.commits.close)
        await asyncio.to_thread(self.writer.close)
        await self._runner.aclose()
        await self.services.aclose()
        await asyncio.to_thread(self.records.close)
        await asyncio.to_thread(self.database.close)

    async def blocking(self, work: Callable[P, T], *args: P.args, **rest: P.kwargs) -> T:
        """Do something blocking without holding up the event loop."""
        return await asyncio.to_thread(work, *args, **rest)

    def admin_key(self) -> str:
        """The first admin key's text, as kept in the home folder; empty if it was taken away."""
        return self.keys.admin_key()

    def readiness(self) -> dict[str, str]:
        """`ok`, or what is wrong, by check. Blocking."""
        return {
            "database": _outcome(self.database.check_writable),
            "migrations": _outcome(self._check_migrations),
            "disk": _outcome(self._check_disk),
        }

    def _check_migrations(self) -> None:
        if not is_current(self.database.engine):
            raise AlgorailError("the database is not at the newest revision")

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self.settings.home).free
        needed = self.settings.engine.min_free_disk_bytes
        if free < needed:
            raise AlgorailError(f"{free} bytes are free, {needed} are needed")

    async def _sweep(self) -> None:
        """Forget expired idempotency keys and days of the record that are too old, once an hour."""
        while True:
            try:
                await asyncio.to_thread(self.idempotency.sweep)
                days = self.settings.engine.retention_days
                await asyncio.to_thread(drop_old_days, self.records, self.database, days)
            except AlgorailError:
                log.warning("the hourly clean-up failed; it is tried again in an hour", exc_info=True)
            await asyncio.sleep(_SWEEP_SECONDS)


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except (AlgorailError, OSError) as error:
        return str(error)
    return "ok"


__all__ = ["Engine"]

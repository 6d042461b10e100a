"""The metrics page in Prometheus' text format, made from totals when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from algorail.engine.kit.errors import Unavailable
from algorail.engine.service.engine import Engine
from algorail.engine.service.totals import Durations

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def registry_of(engine: Engine) -> CollectorRegistry:
    """A registry of this engine's metrics; nothing is global, so that two servers fit in one process."""
    registry = CollectorRegistry()
    registry.register(EngineCollector(engine))
    return registry


def page(registry: CollectorRegistry) -> bytes:
    """The text."""
    return generate_latest(registry)


class EngineCollector(Collector):
    """Runs and blocks by status and duration, places, the record's writer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterable[Metric]:
        """Nothing: the families need not be known before the first scrape."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Every metric of the engine."""
        totals, admission = self._engine.totals, self._engine.admission
        totals.settle()
        written = self._engine.writer.stats()
        yield _histogram(
            "algorail_run_duration_seconds",
            "Runs by algorithm, version, variant and status.",
            ("algorithm", "version", "variant", "status"),
            totals.runs,
        )
        yield _histogram(
            "algorail_block_duration_seconds",
            "Blocks of runs by node, kind and status, those of sub-algorithms included.",
            ("algorithm", "node", "kind", "status"),
            totals.blocks,
        )
        retries = CounterMetricFamily(
            "algorail_block_retries_total",
            "Tries beyond the first.",
            labels=("algorithm", "node", "kind"),
        )
        for labels, count in list(totals.attempts.items()):
            retries.add_metric(labels, count)
        yield retries
        queued = GaugeMetricFamily(
            "algorail_async_runs", "Asynchronous runs that are not over, by status.", labels=("status",)
        )
        # Without its database the server still tells what it knows by itself.
        with suppress(Unavailable):
            for status, count in self._engine.asynchronous.depth().items():
                queued.add_metric((status,), count)
        yield queued
        yield _gauge("algorail_runs_active", "Runs in progress.", admission.active)
        yield _gauge("algorail_runs_waiting", "Calls that wait for a place.", admission.queued)
        yield _counter("algorail_runs_refused_total", "Calls turned away.", admission.refused)
        yield _counter("algorail_records_written_total", "Runs committed to the record.", written.written)
        yield _counter("algorail_records_dropped_total", "Runs lost under overload.", written.dropped)
        yield _counter("algorail_records_sampled_out_total", "Runs left out on purpose.", written.sampled_out)
        yield _gauge("algorail_records_waiting", "Runs that wait for their commit.", written.waiting)


def _histogram(
    name: str, text: str, labels: tuple[str, ...], totals: dict[tuple[str, str, str, str], Durations]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, durations in list(totals.items()):
        family.add_metric(values, durations.cumulative(), durations.sum_ns / 1e9)
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


__all__ = ["MEDIA_TYPE", "EngineCollector", "page", "registry_of"]

"""What a replica counts, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ReplicaMetrics:
    """Counters of one replica.

    Args:
        model: Name, a label of every series.
        version: Version, likewise.
        queued_rows: Read when the metrics are.
    """

    def __init__(self, model: str, version: str, queued_rows: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        names = ("model", "version")
        registry = self._registry
        requests = Counter(
            "algorail_model_requests_total", "Answers.", [*names, "protocol", "status"], registry=registry
        )
        latency = Histogram(
            "algorail_model_request_seconds", "Time in the replica.", [*names, "protocol"],
            buckets=LATENCY, registry=registry,
        )  # fmt: skip
        batch_rows = Histogram(
            "algorail_model_batch_rows", "Rows of one model call.", names, buckets=ROWS, registry=registry
        )
        batch_seconds = Histogram(
            "algorail_model_batch_seconds",
            "Time of one model call.",
            names,
            buckets=LATENCY,
            registry=registry,
        )
        queued = Gauge("algorail_model_queued_rows", "Rows that wait.", names, registry=registry)
        queued.labels(model, version).set_function(queued_rows)
        self.in_flight = Gauge(
            "algorail_model_requests_in_flight", "Requests that have no answer yet.", names, registry=registry
        ).labels(model, version)
        self._batch_rows = batch_rows.labels(model, version)
        self._batch_seconds = batch_seconds.labels(model, version)
        self._requests = requests
        self._labels = (model, version)
        self._counters: dict[tuple[str, int], Counter] = {}
        self._latency = {protocol: latency.labels(model, version, protocol) for protocol in ("v1", "v2")}

    def observe_batch(self, rows: int, seconds: float) -> None:
        """One call of the model."""
        self._batch_rows.observe(rows)
        self._batch_seconds.observe(seconds)

    def observe_request(self, protocol: str, status: int, seconds: float) -> None:
        """One answer."""
        counter = self._counters.get((protocol, status))
        if counter is None:
            counter = self._counters[protocol, status] = self._requests.labels(
                *self._labels, protocol, str(status)
            )
        counter.inc()
        self._latency[protocol].observe(seconds)

    def render(self) -> bytes:
        """In the Prometheus text format."""
        return generate_latest(self._registry)

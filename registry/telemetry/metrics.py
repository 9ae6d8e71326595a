"""The registry's numbers, as Prometheus reads them. https://prometheus.io/docs/instrumenting/exposition_formats/

Counters are of this process, or of all the workers of a port together, when the parent named a folder that they share
(`SHARED_VARIABLE`); a scrape adds what the database knows at that moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from registry.log.service import tree_size
from registry.runtime import Runtime

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SHARED_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # of prometheus_client, which reads it once, when it is imported
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds
_DEPTH: Final = text(
    "SELECT queue_name, count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing') GROUP BY queue_name"
)


class Metrics:
    """The numbers of one application; no two applications share any."""

    def __init__(self, runtime: Runtime) -> None:
        self._database = _DatabaseCollector(runtime)
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "imprimatur_http_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "imprimatur_http_request_seconds",
            "Seconds from a request's first byte to its answer's last",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._refusals = Counter(
            "imprimatur_refusals", "Problem documents answered, by their code", ("code",), registry=self._registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def refused(self, code: str) -> None:
        """Count one problem document by its code, one of `sdk.errors`."""
        self._refusals.labels(code).inc()

    def exposition(self) -> bytes:
        """Everything, in the text format."""
        told = CollectorRegistry(auto_describe=False)
        if ValueClass is MutexValue:
            told.register(self._registry)
        else:
            MultiProcessCollector(told)  # type: ignore[no-untyped-call]
        told.register(self._database)
        return generate_latest(told)


class _DatabaseCollector:
    """What the database knows, asked at the scrape. Without an answer only `imprimatur_database_up` is told."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("imprimatur_database_up", "1 when the database answered this scrape", value=0)
        try:
            with self._runtime.sessions.begin() as session:  # as the database's owner: the queue is no tenant's
                entries = tree_size(session)
                waiting = [(str(queue), float(count)) for queue, count in session.execute(_DEPTH)]
        except SQLAlchemyError:
            yield up
            return
        yield GaugeMetricFamily("imprimatur_database_up", up.documentation, value=1)
        yield GaugeMetricFamily("imprimatur_log_entries", "Entries in the audit log", value=entries)
        depth = GaugeMetricFamily("imprimatur_queue_jobs", "Jobs that wait or are worked on", labels=("queue",))
        for queue, count in waiting:
            depth.add_metric((queue,), count)
        yield depth

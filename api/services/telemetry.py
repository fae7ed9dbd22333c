"""What Prometheus reads: counters that the service keeps as it works, gauges read when asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from api.services.store import job_lists

if TYPE_CHECKING:
    from api.services.container import Services

registry = CollectorRegistry()
LINES = Counter("trainyard_log_lines_total", "Log lines ingested", registry=registry)
POINTS = Counter("trainyard_metric_points_total", "Metric points ingested", registry=registry)
QUEUE_WAIT = Histogram(
    "trainyard_queue_wait_seconds",
    "From a job's submission to its first start",
    registry=registry,
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 43200, 172800),
)
LATENCY = Histogram(
    "trainyard_request_seconds",
    "Time to answer, without the body's way",
    ["method", "route", "code"],
    registry=registry,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
WEBHOOKS = Counter(
    "trainyard_webhook_deliveries_total",
    "Tries to send a webhook, by what came of them",
    ["outcome"],
    registry=registry,
)


def exposition(everything: Services) -> bytes:
    """The counters, the process's own figures, and gauges of this moment."""
    moment = CollectorRegistry()
    moment.register(_Gauges(everything))
    return generate_latest(registry) + generate_latest(moment) + generate_latest(REGISTRY)


class _Gauges:
    """Read when Prometheus asks, and then only."""

    def __init__(self, everything: Services) -> None:
        self._services = everything

    def collect(self) -> Iterator[Metric]:
        yield self._jobs()
        streams = GaugeMetricFamily("trainyard_sse_clients", "Open event streams")
        streams.add_metric([], self._services.streams.open)
        yield streams
        yield from self._gpus()

    def _jobs(self) -> Metric:
        family = GaugeMetricFamily("trainyard_jobs", "Jobs", labels=["engine", "status"])
        with self._services.db.read() as connection:
            for engine, status, number in job_lists.counts_by_engine(connection):
                family.add_metric([engine, status], number)
        return family

    def _gpus(self) -> Iterator[Metric]:
        gpus = self._services.gpus.monitor.snapshot().gpus
        for name, text, attribute, unit in GPU_GAUGES:
            family = GaugeMetricFamily(name, text, labels=["gpu", "uuid"])
            for gpu in gpus:
                value = getattr(gpu, attribute)
                if value is not None:
                    family.add_metric([str(gpu.index), gpu.uuid or ""], value * unit)
            yield family


MB = 1024 * 1024
#: name, help, attribute of GpuState, what one of it is
GPU_GAUGES = (
    ("trainyard_gpu_memory_used_bytes", "Memory in use", "memory_used_mb", MB),
    ("trainyard_gpu_memory_total_bytes", "Memory", "memory_total_mb", MB),
    ("trainyard_gpu_utilization_percent", "Utilisation", "utilization_percent", 1),
    ("trainyard_gpu_temperature_celsius", "Temperature", "temperature_c", 1),
)

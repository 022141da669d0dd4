"""What Prometheus reads at /metrics. All is counted in the process in front."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Answers, by route, method and status.", ("route", "method", "status"))
        self.refusals = self._counter("refusals", "Answers other than success, by code.", ("code",))
        self.deaths = self._gauge("worker_deaths", "Workers that ended while they processed a picture.")
        self.seconds = self._histogram("request_seconds", "Seconds from the headers to the end of the answer.", ("route",))
        self.stages = self._histogram("stage_seconds", "Seconds of each stage; queue is the wait for a worker.", ("stage",))
        self.waiting = self._gauge("queue", "Pictures that wait for a worker.")
        self.working = self._gauge("working", "Pictures in workers.")
        self.ready = self._gauge("workers_ready", "Workers that are ready.")
        self.buffered = self._gauge("buffered_bytes", "Bytes of bodies that are held.")
        self.memory = Gauge("figureground_memory_bytes", "Memory by process.", ("process",), registry=self.registry)

    def _counter(self, name: str, about: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"figureground_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(f"figureground_{name}", about, registry=self.registry)

    def _histogram(self, name: str, about: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(f"figureground_{name}", about, labels, registry=self.registry, buckets=SECONDS)

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)

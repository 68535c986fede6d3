"""Counters of one app, in a registry of its own (design 9.7), for Prometheus and for tests."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """What the server counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.messages = Counter(
            "wakestorm_messages_total", "Messages from devices by kind", ["kind"], registry=self.registry
        )
        self.refused = Counter(
            "wakestorm_refused_total", "Messages in quarantine by reason", ["reason"], registry=self.registry
        )
        self.replies = Counter(
            "wakestorm_replies_total", "Replies to devices by kind", ["kind"], registry=self.registry
        )
        self.images = Counter("wakestorm_images_total", "Images by outcome", ["outcome"], registry=self.registry)
        self.batches = Counter("wakestorm_batches_total", "Batches by outcome", ["outcome"], registry=self.registry)
        self.batch_size = Histogram(
            "wakestorm_batch_messages",
            "Messages in a batch",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200),
            registry=self.registry,
        )
        self.connected = Gauge("wakestorm_mqtt_connected", "1 while the broker is connected", registry=self.registry)
        self.queued = Gauge("wakestorm_queued_messages", "Messages waiting for a batch", registry=self.registry)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)

"""Counters of one app, in a registry of its own (design 9.7), for Prometheus and for tests."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_ORIGINALS: Final = (
    ("total_count", "count", "Originals"),
    ("total_size", "bytes", "Bytes of all originals"),
    ("orphaned_count", "orphaned_count", "Originals without references, waiting for the clean-up"),
    ("orphaned_size", "orphaned_bytes", "Bytes that the clean-up will free"),
    ("avg_references", "references_average", "References of an original, on average"),
    ("total_references", "references", "References to all originals"),
    ("dedup_rate", "dedup_ratio", "Share of references that needed no bytes of their own"),
    ("saved_size", "saved_bytes", "Bytes that were not stored again"),
)


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
        self.passed_over = Counter(
            "wakestorm_refused_unkept_total",
            "Refused messages beyond the quota of quarantine and log",
            registry=self.registry,
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

        self.uploads = Counter("wakestorm_uploads_total", "Uploads by outcome", ["outcome"], registry=self.registry)
        self._originals = {
            name: Gauge(f"wakestorm_originals_{suffix}", words, registry=self.registry)
            for name, suffix, words in _ORIGINALS
        }

    def show_originals(self, stats: object) -> None:
        """What is known of the originals, by the names of its fields."""
        for name, gauge in self._originals.items():
            gauge.set(getattr(stats, name))

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)

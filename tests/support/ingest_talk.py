"""A conversation of one device with the server's logic, message by message: no database, no clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from server import ingest
from server.effects import Complete, RegisterDevice, Reply
from server.ids import seeded_ids
from server.session import Turn
from server.view import DeviceView, ImageView, Standing
from server.wire.dialects import DIALECTS
from server.wire.messages import Chunk, DeviceMessage, Hello, Metadata, ServerMessage
from server.wire.topics import Family

NOW = datetime(2026, 1, 5, tzinfo=UTC)
MAC = "B8F862F9C1C4"
NAMESPACE = UUID(int=7)


def device(dialect: str = "v3.5.0", **overrides: object) -> DeviceView:
    """A mapped camera that wakes every three hours."""
    view = DeviceView(
        mac=MAC,
        device_id=UUID(int=1),
        standing=Standing.MAPPED,
        dialect=DIALECTS[dialect],
        family=Family.ESP32CAM,
        cron="0 */3 * * *",
    )
    for name, value in overrides.items():
        setattr(view, name, value)
    return view


def image(name: str = "image_1.jpg", have: int = 0, total: int = 10, **overrides: object) -> ImageView:
    """An image with its first `have` chunks."""
    known = ImageView(
        image_id=uuid5(NAMESPACE, name),
        image_name=name,
        wire_image_name=name,
        status="receiving" if have else "pending",
        captured_at=NOW - timedelta(hours=3),
        captured_at_source="device",
        image_size_bytes=total * 100,
        chunk_size_bytes=100,
        total_chunks=total,
        have=set(range(have)),
        created_seq=1,
    )
    for key, value in overrides.items():
        setattr(known, key, value)
    return known


class Talk:
    """One device's messages, each a turn of its own, as batches of one would be."""

    def __init__(self, view: DeviceView) -> None:
        self.view = view
        self.now = NOW
        self.ids: Callable[[], UUID] = seeded_ids("talk")
        self.effects: list[object] = []

    def say(self, message: DeviceMessage, *, dup: bool = False, after_s: float = 1) -> list[ServerMessage]:
        """The replies to one message."""
        self.now += timedelta(seconds=after_s)
        turn = Turn(view=self.view, now=self.now, ids=self.ids, is_redelivery=dup)
        return self._done(turn, ingest.receive(turn, message))

    def wait(self, seconds: float) -> list[ServerMessage]:
        """The replies after a silence."""
        self.now += timedelta(seconds=seconds)
        turn = Turn(view=self.view, now=self.now, ids=self.ids)
        return self._done(turn, ingest.look_again(turn))

    def store(self, image_id: UUID) -> list[ServerMessage]:
        """The replies once an image's bytes are kept."""
        turn = Turn(view=self.view, now=self.now, ids=self.ids)
        return self._done(turn, ingest.stored(turn, image_id, "0" * 64, "originals/00/" + "0" * 64))

    def _done(self, turn: Turn, effects: list[object]) -> list[ServerMessage]:
        self.effects = list(effects)
        for effect in effects:
            if isinstance(effect, RegisterDevice):
                self.view.device_id = effect.device_id
        return [effect.message for effect in effects if isinstance(effect, Reply)]

    def all_of(self, kind: type) -> list[object]:
        """The last turn's effects of that kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]


def hello(pending: int = 0, names: tuple[str, ...] | None = None) -> Hello:
    return Hello(device_id=MAC, pending_count=pending, pending_list=names)


def metadata(
    name: str = "image_1.jpg", total: int = 10, at: datetime | None = NOW, dialect: str = "v3.5.0"
) -> Metadata:
    return Metadata(
        device_id=MAC,
        image_name=name,
        captured_at=at,
        image_size_bytes=total * 100,
        chunk_size_bytes=100,
        total_chunks=total,
        dialect="v3.5.0",
    )


def chunk(number: int, name: str = "image_1.jpg", data: bytes = b"x") -> Chunk:
    return Chunk(device_id=MAC, image_name=name, chunk_id=number, payload=data)


def send_image(talk: Talk, name: str = "image_1.jpg", total: int = 3, at: datetime | None = NOW) -> list[ServerMessage]:
    """A whole image, stored; all replies."""
    replies = talk.say(metadata(name, total, at))
    for number in range(total):
        replies += talk.say(chunk(number, name))
    for effect in talk.all_of(Complete):
        assert isinstance(effect, Complete)
        replies += talk.store(effect.image_id)
    return replies

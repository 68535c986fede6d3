"""The isolation matrix: with device A's login and the newcomers' one, every way to reach what is device B's.

A cell is one attempt: somebody, an operation, a target. It is allowed when it has an effect: a spy with every right
sees what was published, the attacker receives what was B's, or B loses its connection or its session. SUBACK and PUBACK
prove nothing: brokers acknowledge what they then drop.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from harness.hostile.figure import Figure
from harness.hostile.prober import NEVER, ConnectionEnded, Prober
from server.wire.access import enrolment_topic
from server.wire.mqtt_codec import Publish, Will
from server.wire.topics import DOWNLINK, ENROLMENT_PREFIX, UPLINK, Channel, Family, topic_of

A: Final = "A4CF12000001"
B: Final = "B8F862F9C1C4"
SPY: Final = "spy"
SERVER: Final = "wakestorm-server"
ENROLMENT: Final = "newcomer"
NAMES: Final = (A, B, SPY, SERVER, ENROLMENT)

CELLS_MIN: Final = 2_000
ISOLATION: Final = "A device and a newcomer against all that is another device's"
ISOLATED: Final = f"{CELLS_MIN:,} cells or more, 0 allowed"

_ALIASES: Final = (B, B.lower(), "B8:F8:62:F9:C1:C4", "b8-f8-62-f9-c1-c4", "B8F8.62F9.C1C4")
"""Every spelling that the server takes for B."""

HOSTILE_NAMES: Final[tuple[bytes, ...]] = (
    b"#", b"+", b"a+b", b"ab#", b"a/b", b"/", b"ESP32CAM", b"\x01", b"", b"..", b"%u", b"%c", b"$SYS", b" ", b"*",
    b"ESP32CAM/" + B.encode(), B.encode() + b"/#", B.encode() + b"/../" + A.encode(), B.encode(), B.lower().encode(),
    SERVER.encode(), SPY.encode(), ENROLMENT.encode(), b"a\x00b", B.encode() + b"\x00", b"\xed\xa0\x80", b"\xff\xfe",
    "\u202e".encode(), b"x" * 65_535, A.encode() + b"\n" + B.encode(), A.encode() + b":" + B.encode(),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A broker under attack, with the passwords of `NAMES`; the spy may read everything.

    Where there are `certificates`, they are the logins at `port`; newcomers, at theirs, have a password all the same.
    """

    host: str
    port: int
    enrolment_port: int
    passwords: dict[str, str]
    tls: ssl.SSLContext | None = None
    certificates: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Of those who do not come by `port`."""

    def port_of(self, name: str) -> int:
        """Where the client with that login connects."""
        return self.ports.get(name, self.enrolment_port if name == ENROLMENT else self.port)

    async def connection(self, name: str) -> Prober:
        """One of the client with that login, who has not said CONNECT yet."""
        return await Prober.open(self.host, self.port_of(name), self.certificates.get(name, self.tls))


@dataclass(slots=True)
class Matrix:
    """How many attempts there were, and those that had an effect."""

    cells: int = 0
    allowed: list[str] = field(default_factory=list)


def isolated(name: str, matrix: Matrix) -> Figure:
    """What a matrix shows."""
    return Figure(
        id=name,
        title=ISOLATION,
        found=f"{matrix.cells:,} cells, {len(matrix.allowed)} allowed",
        limit=ISOLATED,
        holds=not matrix.allowed and matrix.cells >= CELLS_MIN,
        details=tuple(matrix.allowed),
    )


def topics_of_b() -> list[str]:
    """Every topic that is B's, in every spelling, and what stands beside it."""
    own = [
        topic
        for name in _ALIASES
        for family in Family
        for topic in (
            *(topic_of(family, name, channel) for channel in (*UPLINK, Channel.CMD, Channel.ACK)),
            f"{family}/{name}/{Channel.RETRY}",
            enrolment_topic(family, name),
        )
    ]
    beside = [f"ESP32CAM/{B}", f"ESP32CAM/{B}/status/x", f"ESP32CAM/{B}/", f"/ESP32CAM/{B}/cmd", f"esp32cam/{B}/cmd"]
    return [*own, *beside, f"ESP32CAM/{A}/../{B}/cmd", "$SYS/broker/x", "$CONTROL/dynamic-security/v1"]


def filters_on_b() -> list[str]:
    """Every filter under which something of B's falls."""
    wild = ["#", "+/#", "+/+/+", "+/+/#", "+/+/commands/retry", "ESP32CAM/#", "device/#", "$SYS/#", "$SYS/broker/+"]
    for family in Family:
        wild += [f"{family}/+/{channel}" for channel in (*UPLINK, *DOWNLINK)]
        wild += [f"{family}/{B}/+", f"{family}/{B}/#", f"+/{B}/cmd", f"{family}/+/+", f"{ENROLMENT_PREFIX}{family}/#"]
    own = [topic for topic in topics_of_b() if B in topic]
    return [*own, *dict.fromkeys(wild), "enrol/#", f"+/{B}/#"]


async def isolation(place: Place, *, is_brief: bool = False) -> Matrix:
    """Every cell, or a few of each kind; needs a broker of its own.

    Raises ConnectionEnded where A, B, the server or the spy are not served.
    """
    matrix = Matrix()
    async with AsyncExitStack() as ends:
        attack = _Attack(place, matrix, ends, is_brief)
        await attack.begin()
        await attack.publish(A, (0, 1, 2))
        await attack.subscribe(A, (0, 1, 2))
        await attack.wills()
        await attack.publish(ENROLMENT, (1,))
        await attack.subscribe(ENROLMENT, (1,))
        for name in HOSTILE_NAMES[:: 8 if is_brief else 1]:
            await attack.hostile_client_id(name)
            if place.certificates:
                await attack.hostile_client_id(name, name)
            await attack.hostile_user_name(name)
        await attack.takeovers()
        await attack.retained()
    return matrix


class _Attack:
    def __init__(self, place: Place, matrix: Matrix, ends: AsyncExitStack, is_brief: bool) -> None:
        self._place = place
        self._matrix = matrix
        self._ends = ends
        self._marks = 0
        self._topics = [f"ESP32CAM/{B}/cmd", f"device/{B}/status"] if is_brief else topics_of_b()
        self._filters = ["+/+/+", f"ESP32CAM/{B}/cmd"] if is_brief else filters_on_b()

    async def begin(self) -> None:
        """The spy sees everything, B and the server are at work."""
        self._spy = await self._login(SPY)
        for everything in ("#", "$SYS/#"):
            await self._spy.subscribe(everything, 2)
        self._server = await self._login(SERVER)
        self._b = await self._login(B)
        await self._b.subscribe(topic_of(Family.ESP32CAM, B, Channel.CMD), 1)

    async def _login(self, name: str, *, will: Will | None = None, client_id: bytes | None = None) -> Prober:
        prober = await self._place.connection(name)
        self._ends.push_async_callback(prober.close)
        asked = name.encode() if client_id is None else client_id
        code = await prober.connect(asked, name.encode(), self._place.passwords[name].encode(), will=will)
        if code:
            raise ConnectionEnded(f"{name} as {asked!r}: return code {code}")
        return prober

    def _mark(self) -> bytes:
        self._marks += 1
        return b"mark-%d" % self._marks

    async def _seen_by_spy(self) -> list[Publish]:
        """What was published since the last look; B's own word is the last of it."""
        mark = self._mark()
        await self._b.publish(topic_of(Family.ESP32CAM, B, Channel.STATUS), mark)
        return await self._spy.until(mark)

    def _count(self, cells: int, allowed: list[str]) -> None:
        self._matrix.cells += cells
        self._matrix.allowed += allowed

    # -- publishing --------------------------------------------------------------------------------

    async def publish(self, who: str, levels: tuple[int, ...]) -> None:
        """Each QoS, retained and not, and an empty retained one that would delete what is there."""
        attempts = [
            (topic, qos, retain, payload)
            for topic in self._topics
            for qos in levels
            for retain, payload in ((False, b"evil"), (True, b"evil"), (True, b""))
        ]
        while attempts:  # mosquitto closes after what it refuses; then the attacker comes again
            prober = await self._login(who)
            attempts = attempts[await self._try_publishing(prober, f"{who} publishes", attempts) :]
            await prober.close()

    async def _try_publishing(self, prober: Prober, who: str, attempts: Sequence[tuple[str, int, bool, bytes]]) -> int:
        """How many were tried until the broker closed, if it did."""
        tried = 0
        try:
            for topic, qos, retain, payload in attempts:
                tried += 1
                await prober.publish(topic, payload, qos=qos, retain=retain)
                await prober.ping()  # the next attempt must meet a connection that lives
        except ConnectionEnded:
            pass
        seen = [message for message in await self._seen_by_spy() if not _is_enrolment(who, message.topic)]
        self._count(tried, [f"{who} to {message.topic} (qos {message.qos})" for message in seen])
        return tried

    async def wills(self) -> None:
        """The broker would publish them in A's name once A vanishes."""
        for topic in self._topics:
            for retain in (False, True):
                try:
                    prober = await self._login(A, will=Will(topic=topic, payload=b"evil", qos=1, retain=retain))
                except ConnectionEnded:
                    self._count(1, [])
                    continue
                await prober.ping()
                prober.cut()
                after = await self._login(A)  # the broker has dealt with the loss of the other by now
                await after.close()
                seen = await self._seen_by_spy()
                self._count(1, [f"{A} wills to {message.topic}" for message in seen])

    async def retained(self) -> None:
        """Nothing that was tried has stayed."""
        spy = await self._login(SPY)
        await spy.subscribe("#", 2)
        await spy.ping()
        self._count(1, [f"retained on {message.topic}" for message in spy.messages if message.retain])

    # -- subscribing -------------------------------------------------------------------------------

    async def subscribe(self, who: str, levels: tuple[int, ...]) -> None:
        """Each filter, plain and shared, with each QoS; then everything that is B's is said once."""
        prober = await self._login(who)
        for topic_filter in self._filters:
            for spelled, qos in (*((topic_filter, qos) for qos in levels), (f"$share/group/{topic_filter}", 1)):
                try:
                    got = await self._overheard(prober, spelled, qos)
                except ConnectionEnded:
                    prober, got = await self._login(who), []
                self._count(1, [f"{who} hears {topic} by {spelled} (qos {qos})" for topic in got])
        await prober.close()

    async def _overheard(self, prober: Prober, topic_filter: str, qos: int) -> list[str]:
        await prober.subscribe(topic_filter, qos)
        await self._say_everything()
        await prober.ping()
        got = [message.topic for message in prober.messages if B in message.topic.upper()]
        prober.messages.clear()
        await prober.unsubscribe(topic_filter)
        return got

    async def _say_everything(self) -> None:
        """The server speaks to B and B to the server, on every channel; the spy has heard it all when this returns."""
        for family in Family:
            for channel in UPLINK:
                self._b.send(Publish(topic=topic_of(family, B, channel), payload=b"own"))
            for channel in (Channel.CMD, Channel.ACK):
                self._server.send(Publish(topic=topic_of(family, B, channel), payload=b"own"))
        self._server.send(Publish(topic=topic_of(Family.DEVICE, B, Channel.RETRY), payload=b"own"))
        mark = self._mark()
        await self._server.publish(topic_of(Family.DEVICE, B, Channel.RETRY), mark)
        await self._spy.until(mark)
        await self._seen_by_spy()

    # -- names -------------------------------------------------------------------------------------

    async def hostile_client_id(self, name: bytes, user_name: bytes = A.encode()) -> None:
        """A's login under another client id, where a certificate is one also by another user name: refused, or A."""
        prober = await self._place.connection(A)
        code = await prober.connect(name, user_name, self._place.passwords[A].encode())
        targets = [topic for topic in self._topics if B in topic]
        attempts = [(topic, 1, False, b"evil") for topic in targets]
        if code:
            self._count(len(attempts) + 1, [])
        else:
            done = await self._try_publishing(prober, f"{A} as {name[:40]!r} publishes", attempts)
            self._count(len(attempts) - done, [])  # it was thrown out before it could
            await self._still_there(f"{A} as {name[:40]!r}")
        await prober.close()

    async def hostile_user_name(self, name: bytes) -> None:
        """Another's name with A's password, without one, or with none of the right ones: nobody comes in."""
        doors = (
            [self._place.enrolment_port] if self._place.certificates else [self._place.port, self._place.enrolment_port]
        )
        for port in dict.fromkeys(doors):
            for password in (self._place.passwords[A].encode(), b"", None, b"\x00", b"x" * 65_535):
                for client_id in (A.encode(), B.encode()):
                    prober = await Prober.open(self._place.host, port, self._place.tls)
                    code = await prober.connect(client_id, name, password)
                    await prober.close()
                    self._count(1, [] if code else [f"{name[:40]!r} comes in with password {(password or b'')[:20]!r}"])

    async def takeovers(self) -> None:
        """A asks for the session of B, with messages waiting in it, and for the server's."""
        for clean in (True, False):
            for victim in (B, SERVER, SPY):
                await self._take_over(victim, clean=clean)
        await self._steal_what_waits()

    async def _take_over(self, victim: str, *, clean: bool) -> None:
        prober = await self._place.connection(A)
        code = await prober.connect(victim.encode(), A.encode(), self._place.passwords[A].encode(), clean=clean)
        if code not in (0, NEVER):
            self._count(1, [])
        else:
            await self._still_there(f"{A} takes over {victim}")
        await prober.close()

    async def _still_there(self, what: str) -> None:
        """B, the server and the spy keep their connections; those that do not come again."""
        lost: list[str] = []
        for name, victim in ((B, self._b), (SERVER, self._server), (SPY, self._spy)):
            try:
                await victim.ping()
            except ConnectionEnded:
                lost.append(f"{what}: {name} was thrown out")
        self._count(1, lost)
        if lost:
            await self.begin()

    async def _steal_what_waits(self) -> None:
        """B is away, and a command waits for it."""
        topic = topic_of(Family.ESP32CAM, B, Channel.CMD)
        await self._b.close()
        for clean, word in ((False, b"wait"), (True, b"")):
            prober = await self._place.connection(B)
            await prober.connect(B.encode(), B.encode(), self._place.passwords[B].encode(), clean=clean)
            if word:
                await prober.subscribe(topic, 1)
                await prober.close()
                await self._server.publish(topic, word)
                thief = await self._place.connection(A)
                code = await thief.connect(B.encode(), A.encode(), self._place.passwords[A].encode(), clean=False)
                stolen: list[str] = []
                if code == 0:
                    await thief.ping()
                    stolen = [f"{A} steals what waits for {B}" for message in thief.messages if message.topic == topic]
                await thief.close()
                self._count(1, stolen)
            await prober.close()
        await self.begin()


def _is_enrolment(who: str, topic: str) -> bool:
    """The newcomers' login may say HELLO for anybody, where the server takes it for a newcomer's."""
    return who.startswith(ENROLMENT) and topic in {
        enrolment_topic(family, topic.split("/")[2]) for family in Family if topic.count("/") == 3
    }

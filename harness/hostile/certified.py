"""S11: TLS. Who comes in at a broker where a certificate is the login, and what a device's own opens of another's."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.bench.brokers import missing_reason
from harness.errors import BenchUnavailable
from harness.hostile.brokers import EXPIRED, REVOKED, Certified, Command, certified, client_context
from harness.hostile.figure import Figure
from harness.hostile.isolation import ENROLMENT, SERVER, A, isolated, isolation
from harness.hostile.prober import ConnectionEnded, Prober
from harness.hostile.stand import AttackedServer

_TITLE: Final = "Ways into a broker where a certificate is the login"
_LIMIT: Final = "0 wrong ones open, the right ones do"


@dataclass(frozen=True, slots=True)
class Way:
    """How somebody tries to come in; `opens` says whether it has to work."""

    words: str
    port: int
    tls: ssl.SSLContext | None
    login: tuple[str | None, str | None] = (None, None)
    opens: bool = False
    asked_for: str | None = None
    """The host whose certificate the client wants to see, where it is another than the one it connects to."""


async def tls(server: AttackedServer, *, is_quick: bool) -> list[Figure]:
    """S11: certificates that open nothing, and a device's own before all that is another's."""
    reason = missing_reason("mosquitto", os.environ)
    if reason is not None:
        return [Figure(id="S11 TLS", title=_TITLE, found=reason, limit=_LIMIT, holds=None)]
    with tempfile.TemporaryDirectory(prefix="wakestorm-hostile-") as folder:
        async with certified(server.command, Path(folder)) as broker:
            figures = [await ways_tried(server.command, broker)]
            if not is_quick:
                figures.append(isolated("S11 isolation", await isolation(broker.place)))
    return figures


async def ways_tried(command: Command, broker: Certified) -> Figure:
    """Each of `ways_in`; and files for a broker in the clear, which must not be written."""
    ways = list(ways_in(broker))
    wrong = [way.words for way in ways if await _opens(broker.place.host, way) is not way.opens]
    try:
        await command("broker-config", "mosquitto", "--host", "0.0.0.0", "--out", broker.others / "in-the-clear")
        wrong.append("files for a broker without TLS on every address of the machine")
    except BenchUnavailable:
        pass  # this is the aim
    closed = sum(not way.opens for way in ways) + 1
    return Figure(
        id="S11 TLS",
        title=_TITLE,
        found=f"{len(ways) - closed + 1} right ways and {closed} wrong ones, {len(wrong)} otherwise than they should",
        limit=_LIMIT,
        holds=not wrong,
        details=tuple(wrong),
    )


def ways_in(broker: Certified) -> Iterator[Way]:
    """Those that a broker has to open to, and every other that a stranger might think of."""
    place, own, others = broker.place, broker.certificates, broker.others
    devices, newcomers = place.port, place.enrolment_port
    password = place.passwords[ENROLMENT]
    yield Way("a device's certificate", devices, client_context(own, A), opens=True)
    yield Way("the server's certificate", devices, client_context(own, SERVER), opens=True)
    yield Way("the newcomers' password", newcomers, place.tls, (ENROLMENT, password), opens=True)
    for port, whose in ((devices, "devices'"), (newcomers, "newcomers'")):
        yield Way(f"without TLS at the {whose} port", port, None, (ENROLMENT, password))
        yield Way(f"a CA that did not sign the {whose} broker", port, client_context(others, A), (ENROLMENT, password))
        words, name = f"another host's name at the {whose} port", "broker.example"
        yield Way(words, port, client_context(own, A), (ENROLMENT, password), asked_for=name)
    for name, words in (
        (EXPIRED, "an expired certificate"),
        (REVOKED, "a revoked certificate"),
        ("broker", "the broker's own"),
    ):
        yield Way(words, devices, client_context(own, name))
    for name in (A, SERVER):
        yield Way(f"another CA's certificate for {name}", devices, client_context(others, name, own))
    yield Way("no certificate", devices, place.tls)
    yield Way("no certificate, the newcomers' password", devices, place.tls, (ENROLMENT, password))
    logins: tuple[tuple[str | None, str | None, str], ...] = (
        (None, None, "nobody"),
        (ENROLMENT, None, "the newcomers' name without a password"),
        (ENROLMENT, "wrong", "the newcomers' name with a wrong password"),
        (A, None, "a device's name without a password"),
        (A, password, "a device's name with the newcomers' password"),
        (SERVER, password, "the server's name with the newcomers' password"),
    )
    for user, given, words in logins:
        yield Way(f"{words}, at the newcomers' port", newcomers, place.tls, (user, given))
    yield Way("a device's certificate at the newcomers' port", newcomers, client_context(own, A))


async def _opens(host: str, way: Way) -> bool:
    user, password = (None if word is None else word.encode() for word in way.login)
    try:
        prober = await Prober.open(host, way.port, way.tls, way.asked_for)
        try:
            return await prober.connect(b"x", user, password) == 0
        finally:
            await prober.close()
    except (OSError, ConnectionEnded):
        return False

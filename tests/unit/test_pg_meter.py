"""The meter knows what PostgreSQL owes, however the bytes are cut."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.virtual.meter import CANCEL_REQUEST, SSL_REQUEST, Frames, PgMeter


def message(kind: str, body: bytes = b"") -> bytes:
    """One message of PostgreSQL's protocol."""
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def messages(kinds: str) -> bytes:
    """One empty message for each letter."""
    return b"".join(message(kind) for kind in kinds)


def startup(code: int = 196608) -> bytes:
    """The first packet, which has no type."""
    return struct.pack("!ii", 16, code) + b"user\0me\0"


@dataclass
class Watched:
    """A meter and what it reports."""

    outstanding: int = 0
    reports: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.meter = PgMeter("test", self.account)

    def account(self, change: int) -> None:
        self.outstanding += change
        self.reports.append(change)
        assert self.outstanding in (0, 1)

    def connected(self) -> Watched:
        self.meter.sent(startup())
        self.meter.received(messages("RSSKZ"))
        assert self.outstanding == 0
        return self


# What is sent (>), what is answered (<), and after each whether something is owed (+) or not (-).
EXCHANGES: dict[str, list[str]] = {
    "query": [">Q+", "<TDDDCZ-"],
    "query in pieces": [">Q+", "<TDD+", "<DC+", "<Z-"],
    "query of several statements": [">Q+", "<TDC+", "<C+", "<Z-"],
    "notices come at any time": ["<NSA-", ">Q+", "<NCZ-", "<N-"],
    "prepare by flush": [">PDH+", "<1t+", "<T-"],
    "prepare of what returns nothing": [">PDH+", "<1tn-"],
    "prepare fails, then sync": [">PDH+", "<E-", ">S+", "<Z-"],
    "prepare is cancelled by a sync behind it": [">PDH+", ">S+", "<E+", "<Z-"],
    "bind and execute": [">BES+", "<2DDC+", "<Z-"],
    "bind fails: execute is skipped": [">BES+", "<E+", "<Z-"],
    "without sync nothing is due": [">BEBEBE-", ">S+", "<2C2C2CZ-"],
    "early answers without sync": [">BEBE-", "<2C-", ">BES+", "<2C2CZ-"],
    "error before the sync, rest is skipped": [">BEBEH+", "<E-", ">BES+", "<Z-"],
    "after an error everything is skipped until sync": [">BEH+", "<E-", ">BEH-", ">S+", "<Z-"],
    "pipelined queries": [">QQ+", "<CZ+", "<CZ-"],
    "close a statement": [">CS+", "<3Z-"],
    "portal suspended": [">BES+", "<2DDsZ-", ">ES+", "<DCZ-"],
    "copy in waits for the client": [">Q+", "<G-", ">dddd-", ">c+", "<CZ-"],
    "copy in given up": [">Q+", "<G-", ">d-", ">f+", "<EZ-"],
    "copy in fails at the server": [">Q+", "<G-", ">d-", "<E+", "<Z-"],
    "copy out": [">Q+", "<Hddd+", "<cCZ-"],
    "function call": [">F+", "<VZ-"],
    "terminate": [">X+"],
}


@pytest.mark.parametrize("name", sorted(EXCHANGES))
def test_what_is_owed_after_each_step(name: str) -> None:
    watched = Watched().connected()
    for step in EXCHANGES[name]:
        data = messages(step[1:-1])
        (watched.meter.sent if step[0] == ">" else watched.meter.received)(data)
        assert watched.outstanding == (step[-1] == "+"), step
    assert watched.meter.stray_replies == 0


@given(st.sampled_from(sorted(EXCHANGES)), st.data())
def test_it_does_not_matter_how_the_bytes_are_cut(name: str, data: st.DataObject) -> None:
    watched = Watched().connected()
    for step in EXCHANGES[name]:
        body = data.draw(st.binary(max_size=400))
        whole = b"".join(message(kind, body) for kind in step[1:-1])
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            (watched.meter.sent if step[0] == ">" else watched.meter.received)(whole[start:end])
        assert watched.outstanding == (step[-1] == "+"), step


@given(st.lists(st.tuples(st.sampled_from("QPBDESX"), st.binary(max_size=300)), max_size=12), st.integers(1, 50))
def test_frames_are_found_in_a_stream(wanted: list[tuple[str, bytes]], step: int) -> None:
    stream = b"".join(message(kind, body) for kind, body in wanted)
    frames, found = Frames(), list[tuple[bytes, bytes]]()
    for at in range(0, len(stream), step):
        found += frames.feed(stream[at : at + step])
    assert [kind for kind, _ in found] == [kind.encode() for kind, _ in wanted]
    assert all(body.startswith(seen) for (_, seen), (_, body) in zip(found, wanted, strict=True))


def test_connecting_is_outstanding_until_the_server_is_ready() -> None:
    watched = Watched()
    watched.meter.sent(startup())
    assert watched.outstanding == 1
    watched.meter.received(messages("R"))
    watched.meter.sent(message("p", b"secret"))
    watched.meter.received(messages("RSSSK"))
    assert watched.outstanding == 1
    watched.meter.received(messages("Z"))
    assert watched.outstanding == 0


def test_a_refused_startup_is_owed_until_the_connection_ends() -> None:
    watched = Watched()
    watched.meter.sent(startup())
    watched.meter.received(messages("E"))
    assert watched.outstanding == 1
    watched.meter.clear()
    assert watched.outstanding == 0


def test_asking_for_tls_and_hearing_no() -> None:
    watched = Watched()
    watched.meter.sent(struct.pack("!ii", 8, SSL_REQUEST))
    assert watched.outstanding == 1
    watched.meter.received(b"N")
    assert watched.outstanding == 0
    watched.connected()


def test_a_cancel_request_is_owed_until_the_connection_ends() -> None:
    watched = Watched()
    watched.meter.sent(struct.pack("!iiii", 16, CANCEL_REQUEST, 1, 2))
    assert watched.outstanding == 1
    watched.meter.clear()
    assert watched.outstanding == 0


def test_a_released_connection_owes_nothing_until_it_is_resumed() -> None:
    watched = Watched().connected()
    watched.meter.sent(messages("Q"))
    watched.meter.release()
    assert watched.outstanding == 0
    watched.meter.resume()
    assert watched.outstanding == 1


def test_a_client_that_does_not_read_holds_itself_up() -> None:
    watched = Watched().connected()
    watched.meter.sent(messages("Q"))
    watched.meter.reading_paused(True)
    assert watched.outstanding == 0
    watched.meter.reading_paused(False)
    assert watched.outstanding == 1


def test_a_full_write_buffer_is_the_servers_turn() -> None:
    watched = Watched().connected()
    watched.meter.sent(messages("BE"))
    watched.meter.writing_paused(True)
    assert watched.outstanding == 1
    watched.meter.writing_paused(False)
    assert watched.outstanding == 0


@pytest.mark.parametrize(("answer", "strays"), [("NSAE", 0), ("C", 1), ("TDCZ", 4)])
def test_answers_that_nobody_counted_on_are_counted(answer: str, strays: int) -> None:
    watched = Watched().connected()
    watched.meter.received(messages(answer))
    assert watched.meter.stray_replies == strays


def test_the_last_text_is_kept_for_the_report() -> None:
    watched = Watched().connected()
    watched.meter.sent(message("Q", b"SELECT pg_sleep(100)\0"))
    assert watched.meter.text == "SELECT pg_sleep(100)"

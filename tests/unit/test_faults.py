"""Faults and the chain that decides when they strike."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario_faults import MESSAGE_ACTIONS
from server.wire.codec import dialect_called, encode_device_message
from server.wire.messages import Chunk
from simulator.fault import (
    EVENT_OF_REPLY,
    Cut,
    Deliver,
    FaultAddress,
    FaultChain,
    FaultPoint,
    LinkAction,
    PowerOff,
    UnknownFault,
    fault_named,
)
from simulator.rng import Rng

TOPIC = "ESP32CAM/B8F862F9C1C4/data"


def chain_with(at: str, fault: str, uses: int | None = 1, **settings: object) -> FaultChain:
    chain = FaultChain(Rng(1))
    chain.arm(at, fault_named(fault, **settings), uses)
    return chain


def sent_chunk(chain: FaultChain, index: int, count: int = 5) -> list[LinkAction]:
    return chain.process("sent", "chunk", TOPIC, b"%d" % index, chunk_index=index, chunk_count=count)


def through(actions: list[LinkAction]) -> list[str]:
    """Payloads that get through, and what else happens."""
    return [
        action.parcel.payload.decode() if isinstance(action, Deliver) else type(action).__name__ for action in actions
    ]


@pytest.mark.parametrize(
    ("address", "struck"),
    [
        ("chunk[2].sent", [2]),
        ("chunk[last].sent", [4]),
        ("chunk[*].sent", [0, 1, 2, 3, 4]),
        ("chunk.sent", [0, 1, 2, 3, 4]),
        ("metadata.sent", []),
    ],
)
def test_an_address_names_its_messages(address: str, struck: list[int]) -> None:
    parsed = FaultAddress.parse(address)
    points = [FaultPoint(direction="sent", event="chunk", chunk_index=index, chunk_count=5) for index in range(5)]
    assert [point.chunk_index for point in points if parsed.matches(point)] == struck


@pytest.mark.parametrize(
    "text", ["chunk[x].sent", "hello.received", "ack_ok.sent", "hello[1].sent", "chunk", "chnk.sent"]
)
def test_an_address_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(UnknownFault, match="no step of the protocol is called"):
        FaultAddress.parse(text)


def test_every_reply_has_an_address() -> None:
    for event in EVENT_OF_REPLY.values():
        assert FaultAddress.parse(f"{event}.received").event == event


@pytest.mark.parametrize("name", ["noop", *MESSAGE_ACTIONS])
def test_every_fault_of_a_message_can_be_made_and_healed(name: str) -> None:
    chain = chain_with("chunk[*].sent", name, None)
    for index in range(3):
        sent_chunk(chain, index)
    chain.heal()
    assert chain.is_spent
    assert through(sent_chunk(chain, 3)) == ["3"]


def test_unknown_faults_and_settings_are_refused() -> None:
    with pytest.raises(UnknownFault, match="did you mean 'power_loss'"):
        fault_named("powerloss")
    with pytest.raises(UnknownFault, match="duplicate has no setting 'time'; it has times, within_ms"):
        fault_named("duplicate", time=3)


def test_power_loss_and_cut_strike_after_the_message() -> None:
    power = chain_with("chunk[1].sent", "power_loss", back_after_ms=10_000)
    assert through(sent_chunk(power, 0)) == ["0"]
    assert sent_chunk(power, 1)[1:] == [PowerOff(10_000)]
    assert through(sent_chunk(power, 1)) == ["1"], "used up"
    cut = chain_with("ack_ok.received", "cut")
    assert through(cut.process("received", "ack_ok", TOPIC, b"ok")) == ["ok", "Cut"]
    assert Cut() not in cut.process("received", "ack_ok", TOPIC, b"ok")


def test_lost_as_often_as_it_is_told() -> None:
    chain = chain_with("chunk[2].sent", "lose", 2)
    assert [through(sent_chunk(chain, 2)) for _ in range(3)] == [[], [], ["2"]]
    assert chain.is_spent


def test_duplicates_are_spread_over_their_time() -> None:
    actions = sent_chunk(chain_with("chunk[0].sent", "duplicate", times=4, within_ms=1_000), 0)
    assert through(actions) == ["0"] * 5
    assert [action.after_ms for action in actions if isinstance(action, Deliver)] == [0, 250, 250, 250, 250]


def test_a_message_is_overtaken_by_so_many() -> None:
    chain = chain_with("chunk[1].sent", "reorder", by=2)
    assert [through(sent_chunk(chain, index)) for index in range(5)] == [["0"], [], ["2"], ["3", "1"], ["4"]]


def test_what_is_held_goes_out_at_the_heal_or_is_lost() -> None:
    for release, expected in ((True, ["4"]), (False, [])):
        chain = chain_with("chunk[4].sent", "reorder", by=2)
        sent_chunk(chain, 4)
        assert chain.held_count == 1
        assert through(list(chain.heal(release=release))) == expected
        assert chain.held_count == 0


def test_chunks_of_an_image_go_backwards() -> None:
    chain = chain_with("chunk[*].sent", "reorder", order="reversed")
    assert [through(sent_chunk(chain, index)) for index in range(5)] == [[], [], [], [], ["4", "3", "2", "1", "0"]]
    assert [through(sent_chunk(chain, index)) for index in range(2)] == [["0"], ["1"]], "one image is one use"


def test_chunks_of_an_image_are_shuffled_by_the_seed() -> None:
    def order() -> list[str]:
        chain = chain_with("chunk[*].sent", "reorder", order="shuffled")
        return [text for index in range(20) for text in through(sent_chunk(chain, index, 20))]

    assert order() == order()
    assert sorted(order(), key=int) == [str(index) for index in range(20)] != order()


def test_faults_on_one_message_act_one_after_another() -> None:
    chain = chain_with("chunk[0].sent", "delay", delay_ms=300)
    chain.arm("chunk[0].sent", fault_named("duplicate", times=1))
    chain.arm("chunk[0].sent", fault_named("cut"))
    actions = sent_chunk(chain, 0)
    assert through(actions) == ["0", "Cut", "0", "Cut"]
    assert isinstance(actions[0], Deliver) and actions[0].after_ms == 300


@given(
    payload=st.binary(min_size=1, max_size=200), flip=st.integers(1, 8), dialect=st.sampled_from(["v3.5.0", "paper-v4"])
)
def test_flipped_bits_stay_inside_the_image(payload: bytes, flip: int, dialect: str) -> None:
    chunk = Chunk(device_id="B8F862F9C1C4", image_name="image_1.jpg", chunk_id=1, payload=payload)
    _, message = encode_device_message(chunk, dialect_called(dialect))
    chain = chain_with("chunk[*].sent", "corrupt", flip=flip)
    (action,) = chain.process("sent", "chunk", TOPIC, message, chunk_index=1, chunk_count=2)
    assert isinstance(action, Deliver)
    before, after = json.loads(message), json.loads(action.parcel.payload)
    image = after.pop("payload")
    found = base64.b64decode(image, validate=True) if isinstance(image, str) else bytes(image)
    before.pop("payload")
    assert before == after
    assert len(found) == len(payload)
    assert sum((one ^ other).bit_count() for one, other in zip(found, payload, strict=True)) == min(
        flip, 8 * len(payload)
    )


@pytest.mark.parametrize("message", [b'{"device_id":"B8","payload":"AAAA"}', b'{"status":"Alive"}', b""])
def test_broken_text_is_no_json(message: bytes) -> None:
    chain = chain_with("hello.sent", "corrupt", where="json")
    (action,) = chain.process("sent", "hello", TOPIC, message)
    assert isinstance(action, Deliver)
    with pytest.raises(ValueError):
        json.loads(action.parcel.payload)


def test_a_message_without_image_bytes_is_struck_in_its_text() -> None:
    (action,) = chain_with("hello.sent", "corrupt").process("sent", "hello", TOPIC, b'{"status":"Alive"}')
    assert isinstance(action, Deliver) and action.parcel.payload != b'{"status":"Alive"}'

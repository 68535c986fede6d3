"""The MQTT 3.1.1 codec: what goes in comes out, however it is cut; what is wrong is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.errors import LocalProtocolError
from server.wire.mqtt_codec import (
    Connack,
    Connect,
    Decoder,
    Disconnect,
    MalformedPacket,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
    encode,
)
from server.wire.mqtt_filters import is_valid_filter, is_valid_topic, matches, split_shared

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
LEVEL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/+#"), max_size=6)
TOPICS = st.lists(LEVEL, min_size=1, max_size=5).map("/".join).filter(bool)
FILTERS = st.builds(
    lambda levels, hash_end: "/".join([*levels, *(["#"] if hash_end else [])]),
    st.lists(st.one_of(LEVEL, st.just("+")), min_size=1, max_size=5),
    st.booleans(),
).filter(is_valid_filter)
IDS = st.integers(1, 65_535)
QOS = st.integers(0, 2)
WILLS = st.builds(Will, topic=TOPICS, payload=st.binary(max_size=50), qos=QOS, retain=st.booleans())


@st.composite
def connects(draw: st.DrawFn) -> Connect:
    username = draw(st.none() | TEXT)
    return Connect(
        client_id="c" + draw(TEXT),
        clean_session=draw(st.booleans()),
        keep_alive_s=draw(st.integers(0, 65_535)),
        username=username,
        password=None if username is None else draw(st.none() | st.binary(max_size=20)),
        will=draw(st.none() | WILLS),
    )


@st.composite
def publishes(draw: st.DrawFn) -> Publish:
    qos = draw(QOS)
    return Publish(
        topic=draw(TOPICS),
        payload=draw(st.binary(max_size=300)),
        qos=qos,
        retain=draw(st.booleans()),
        dup=bool(qos) and draw(st.booleans()),
        packet_id=draw(IDS) if qos else None,
    )


PACKETS: st.SearchStrategy[Packet] = st.one_of(
    connects(),
    st.builds(Connack, session_present=st.booleans()),
    st.builds(Connack, return_code=st.integers(1, 5)),
    publishes(),
    *(st.builds(kind, IDS) for kind in (Puback, Pubrec, Pubrel, Pubcomp, Unsuback)),
    st.builds(
        Subscribe,
        packet_id=IDS,
        filters=st.lists(st.tuples(FILTERS, QOS), min_size=1, max_size=4).map(tuple),
    ),
    st.builds(
        Suback,
        packet_id=IDS,
        return_codes=st.lists(st.sampled_from([0, 1, 2, 128]), min_size=1, max_size=4).map(tuple),
    ),
    st.builds(Unsubscribe, packet_id=IDS, filters=st.lists(FILTERS, min_size=1, max_size=4).map(tuple)),
    st.sampled_from([Pingreq(), Pingresp(), Disconnect()]),
)


@given(st.lists(PACKETS, max_size=6), st.data())
def test_packets_survive_any_cutting(packets: list[Packet], data: st.DataObject) -> None:
    stream = b"".join(map(encode, packets))
    decoder = Decoder()
    got: list[Packet] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:size])
        stream = stream[size:]
    assert got == packets
    assert decoder.is_between_packets


@given(st.binary(max_size=200))
def test_any_bytes_give_packets_or_a_named_error(stream: bytes) -> None:
    decoder = Decoder()
    try:
        packets = decoder.feed(stream)
    except MalformedPacket as error:
        assert error.reason.startswith("mqtt_")
        with pytest.raises(MalformedPacket):
            decoder.feed(b"")
        packets = list(error.before)
    again: list[Packet] = []
    second = Decoder()
    try:
        for index in range(len(stream)):
            again += second.feed(stream[index : index + 1])
    except MalformedPacket:
        pass
    assert again == packets


@given(PACKETS, st.data())
def test_a_flipped_byte_never_crashes_the_decoder(packet: Packet, data: st.DataObject) -> None:
    stream = bytearray(encode(packet))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        for decoded in Decoder().feed(bytes(stream)):
            encode(decoded)
    except MalformedPacket:
        pass


def test_a_payload_of_10_megabytes_in_small_pieces() -> None:
    packet = Publish(topic="big", payload=bytes(range(256)) * 40_960, qos=1, packet_id=7)
    stream = encode(packet)
    decoder = Decoder()
    got: list[Packet] = []
    for start in range(0, len(stream), 65_536):
        got += decoder.feed(stream[start : start + 65_536])
    assert got == [packet]


def test_good_packets_before_the_bad_one_are_not_lost() -> None:
    with pytest.raises(MalformedPacket) as caught:
        Decoder().feed(encode(Puback(1)) + b"\xff\x00")
    assert caught.value.before == (Puback(1),)
    assert caught.value.reason == "mqtt_type"


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"\x00\x00", "mqtt_type"),
        (b"\x36\x05\x00\x01a\x00\x01", "mqtt_flags"),
        (b"\x38\x03\x00\x01a", "mqtt_flags"),
        (b"\x30\x03\x00\x01+", "mqtt_topic"),
        (b"\x30\x02\x00\x00", "mqtt_topic"),
        (b"\x32\x05\x00\x01a\x00\x00", "mqtt_packet_id"),
        (b"\x30\x04\x00\x09ab", "mqtt_cut_short"),
        (b"\x30\x01\x00", "mqtt_cut_short"),
        (b"\x30\x00", "mqtt_cut_short"),
        (b"\x30\x03\x00\x01\xff", "mqtt_utf8"),
        (b"\x30\x05\x00\x03a\x00b", "mqtt_utf8"),
        (b"\x40\x02\x00\x00", "mqtt_packet_id"),
        (b"\x40\x03\x00\x01\x00", "mqtt_too_long"),
        (b"\x60\x02\x00\x01", "mqtt_type"),
        (b"\x30\x80\x80\x80\x80\x01", "mqtt_length"),
        (b"\x30\xff\xff\xff\x7f", "mqtt_too_large"),
        (b"\x82\x02\x00\x01", "mqtt_cut_short"),
        (b"\x82\x06\x00\x01\x00\x01a\x03", "mqtt_filter"),
        (b"\x82\x07\x00\x01\x00\x02a#\x01", "mqtt_filter"),
        (b"\x90\x03\x00\x01\x07", "mqtt_flags"),
        (b"\x20\x02\x02\x00", "mqtt_flags"),
        (b"\x20\x02\x00\x09", "mqtt_flags"),
        (b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", "mqtt_level"),
        (b"\x10\x0c\x00\x04NOTT\x04\x02\x00\x00\x00\x00", "mqtt_protocol_name"),
        (b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00", "mqtt_flags"),
        (b"\x10\x0c\x00\x04MQTT\x04\x42\x00\x00\x00\x00", "mqtt_flags"),
        (b"\xc0\x01\x00", "mqtt_too_long"),
    ],
)
def test_each_violation_has_its_name(stream: bytes, reason: str) -> None:
    with pytest.raises(MalformedPacket) as caught:
        Decoder().feed(stream)
    assert caught.value.reason == reason


def test_the_limit_is_on_the_whole_packet_and_raised_before_its_body_arrives() -> None:
    stream = encode(Publish(topic="t", payload=bytes(100)))
    assert Decoder(packet_size_bytes_max=len(stream)).feed(stream)
    with pytest.raises(MalformedPacket, match="mqtt_too_large"):
        Decoder(packet_size_bytes_max=len(stream) - 1).feed(stream[:2])


@pytest.mark.parametrize(
    "packet",
    [
        Publish(topic="a/+", payload=b""),
        Publish(topic="", payload=b""),
        Publish(topic="t", payload=b"", qos=1),
        Publish(topic="t", payload=b"", qos=1, packet_id=65_536),
        Publish(topic="t", payload=b"", qos=3, packet_id=1),
        Publish(topic="t", payload=b"", dup=True),
        Publish(topic="\ud800", payload=b""),
        Publish(topic="x" * 65_536, payload=b""),
        Subscribe(packet_id=1, filters=()),
        Subscribe(packet_id=1, filters=(("a#", 0),)),
        Unsubscribe(packet_id=1, filters=("",)),
        Connect(client_id="", clean_session=False),
        Connect(client_id="c", password=b"p"),
        Connect(client_id="c", keep_alive_s=70_000),
        Connect(client_id="c", will=Will(topic="#", payload=b"")),
        Connack(session_present=True, return_code=5),
        Suback(packet_id=1, return_codes=(3,)),
        Puback(0),
    ],
)
def test_what_the_standard_has_no_packet_for_is_our_bug(packet: Packet) -> None:
    with pytest.raises(LocalProtocolError):
        encode(packet)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("a/+/c", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("+/+", "/finance", True),
        ("+", "/finance", False),
        ("A", "a", False),
        ("$share/g/a/+", "a/b", True),
        ("$share/g/#", "$SYS/x", False),
        ("$share/g//x", "/x", True),
    ],
)
def test_filters_match_as_section_4_7_says(topic_filter: str, topic: str, expected: bool) -> None:
    assert is_valid_filter(topic_filter)
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize(
    "topic_filter", ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "$share/g", "$share//a", "$share/+/a", "$share/g/", "a\0"]
)
def test_invalid_filters(topic_filter: str) -> None:
    assert not is_valid_filter(topic_filter)


def test_the_length_of_a_topic_counts_bytes() -> None:
    assert is_valid_topic("x" * 65_535)
    assert not is_valid_topic("ä" * 32_768)
    assert not is_valid_filter("x" * 65_536)


def test_share_group_and_filter() -> None:
    assert split_shared("$share/group/a/b") == ("group", "a/b")
    assert split_shared("a/b") == (None, "a/b")


@given(TOPICS, st.data())
def test_a_filter_made_from_a_topic_matches_it(topic: str, data: st.DataObject) -> None:
    levels = topic.split("/")
    first = 1 if topic.startswith("$") else 0
    for index in range(first, len(levels)):
        if data.draw(st.booleans()):
            levels[index] = "+"
    keep = data.draw(st.integers(max(first, 1), len(levels)))
    topic_filter = "/".join(levels) if keep == len(levels) else "/".join([*levels[:keep], "#"])
    if is_valid_filter(topic_filter):
        assert matches(topic_filter, topic)

"""What a board behind its gate may say and hear: the table of `server.wire.access`, whatever the broker allows."""

from __future__ import annotations

import pytest

from harness.dut.topic_guard import NotAllowed, TopicGuard
from server.wire.mqtt_codec import Connect, Pingreq, Puback, Publish, Suback, Subscribe, Will

OWN, OTHER = "A4CF12000001", "B8F862F9C1C4"
DATA, FOREIGN = f"ESP32CAM/{OWN}/data", f"ESP32CAM/{OTHER}/data"


def test_what_is_the_boards_own_goes_on_unchanged() -> None:
    guard = TopicGuard(OWN)
    for packet in (
        Publish(topic=DATA, payload=b"x", qos=1, packet_id=7, retain=True),
        Subscribe(packet_id=1, filters=((f"ESP32CAM/{OWN}/cmd", 1), (f"$share/g/device/{OWN}/commands/retry", 0))),
        Pingreq(),
    ):
        assert guard.up(packet).onward == packet and guard.up(packet).answer is None
    assert guard.down(Suback(packet_id=1, return_codes=(1, 0))) == Suback(packet_id=1, return_codes=(1, 0))


def test_a_connection_is_known_by_the_devices_id_and_has_no_will_on_anothers_topic() -> None:
    will = Will(topic=FOREIGN, payload=b"evil", retain=True)
    judged = TopicGuard(OWN).up(Connect(client_id=OTHER, username="bench", password=b"secret", will=will))
    assert judged.onward == Connect(client_id=OWN, username="bench", password=b"secret")
    assert FOREIGN in judged.note
    kept = Connect(client_id="esp32", will=Will(topic=DATA, payload=b"gone"))
    onward = TopicGuard(OWN).up(kept).onward
    assert isinstance(onward, Connect) and onward.will == kept.will


@pytest.mark.parametrize(("qos", "packet_id", "answer"), [(0, None, None), (1, 9, Puback(9))])
def test_a_message_on_anothers_topic_is_acknowledged_and_goes_no_further(
    qos: int, packet_id: int | None, answer: Puback | None
) -> None:
    judged = TopicGuard(OWN).up(Publish(topic=FOREIGN, payload=b"evil", qos=qos, packet_id=packet_id))
    assert (judged.onward, judged.answer) == (None, answer) and FOREIGN in judged.note
    with pytest.raises(NotAllowed, match=OTHER):
        TopicGuard(OWN).up(Publish(topic=FOREIGN, payload=b"evil", qos=2, packet_id=9))


def test_filters_on_anothers_topics_fail_and_the_others_keep_their_places() -> None:
    guard = TopicGuard(OWN)
    wanted = (("#", 1), (f"ESP32CAM/{OWN}/cmd", 1), (f"$share/g/{FOREIGN}", 1), (f"ESP32CAM/{OWN}/ack", 0))
    judged = guard.up(Subscribe(packet_id=4, filters=wanted))
    assert judged.onward == Subscribe(packet_id=4, filters=(wanted[1], wanted[3])) and judged.answer is None
    assert guard.down(Suback(packet_id=4, return_codes=(1, 0))) == Suback(packet_id=4, return_codes=(128, 1, 128, 0))
    assert guard.up(Subscribe(packet_id=5, filters=(("+/+/+", 1),))).answer == Suback(packet_id=5, return_codes=(128,))

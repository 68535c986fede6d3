"""Which command a HELLO is answered with, and which ones wait: the queue's rules (design 6.3)."""

from __future__ import annotations

from uuid import UUID

import pytest

from server.effects import CommandDelivered, CommandEnded, CommandsFulfilled, SetSchedule
from server.view import CommandView, ImageView
from server.wire.messages import Capture, MissingChunks, Resume, Retry, SendImage, ServerMessage
from tests.support.ingest_talk import Talk, device, hello, image


def command(number: int, command_type: str, of: ImageView | None = None) -> CommandView:
    """A due command; `of` is its image."""
    return CommandView(
        command_id=UUID(int=number),
        command_type=command_type,
        image_id=None if of is None else of.image_id,
        image_status=None if of is None else of.status,
    )


def failed(name: str = "image_2.jpg") -> ImageView:
    return image(name, 3, status="failed", retry_count=1)


def older() -> ImageView:
    return image("image_1.jpg", 2, captured_at=image().captured_at.replace(year=2025))


def answer(talk: Talk, pending: int, names: tuple[str, ...] | None = None) -> tuple[list[ServerMessage], list[int]]:
    """The replies to a HELLO, and the numbers of the commands that went out."""
    replies = talk.say(hello(pending, names))
    return replies, [effect.command.command_id.int for effect in talk.effects if isinstance(effect, CommandDelivered)]


@pytest.mark.parametrize(
    ("dialect", "mac", "expected"),
    [
        ("v3.5.0", "B8F862F9C1C4", SendImage),
        ("paper-v4", "B8F862F9C1C4", Retry),
        ("v3.5.0", "TEST-ESP32-002", Retry),
    ],
)
def test_a_retry_goes_out_as_the_dialect_has_it(dialect: str, mac: str, expected: type[ServerMessage]) -> None:
    image_ = failed()
    talk = Talk(device(dialect, mac=mac, images=[older(), image_], commands=[command(1, "retry_image", image_)]))
    [reply], delivered = answer(talk, 2)
    assert isinstance(reply, expected) and delivered == [1]
    if isinstance(reply, Retry):
        assert reply.chunk_indexes == (3, 4, 5, 6, 7, 8, 9)
    assert image_.status == "receiving" and image_.retry_count == 1


def test_the_first_of_several_due_commands_goes_out_and_the_others_wait() -> None:
    first, second = failed("image_2.jpg"), failed("image_3.jpg")
    queue = [command(1, "retry_image", first), command(2, "retry_image", second), command(3, "capture_image")]
    [reply], delivered = answer(Talk(device(images=[older(), first, second], commands=queue)), 3)
    assert isinstance(reply, SendImage) and reply.image_name == "image_2.jpg" and delivered == [1]


def test_a_retry_of_the_image_that_goes_on_anyway_is_fulfilled_by_the_resume() -> None:
    image_ = failed()
    [reply], delivered = answer(Talk(device(images=[image_], commands=[command(1, "retry_image", image_)])), 1)
    assert isinstance(reply, Resume | MissingChunks) and delivered == [1]


def test_a_device_without_pending_images_keeps_its_retry_waiting() -> None:
    image_ = failed()
    [reply], delivered = answer(Talk(device(images=[image_], commands=[command(1, "retry_image", image_)])), 0)
    assert isinstance(reply, Capture) and delivered == []


def test_a_whole_list_without_the_image_keeps_its_retry_waiting() -> None:
    image_ = failed()
    talk = Talk(device(images=[older(), image_], commands=[command(1, "retry_image", image_)]))
    [reply], delivered = answer(talk, 1, ("image_1.jpg",))
    assert isinstance(reply, Resume) and reply.image_name == "image_1.jpg" and delivered == []


def test_a_list_shorter_than_the_count_leaves_the_rest_open() -> None:
    image_ = failed()
    talk = Talk(device(images=[older(), image_], commands=[command(1, "retry_image", image_)]))
    [reply], delivered = answer(talk, 30, ("image_1.jpg",))
    assert isinstance(reply, SendImage) and reply.image_name == "image_2.jpg" and delivered == [1]


def test_a_command_for_an_image_that_is_there_is_fulfilled_and_the_next_one_goes_out() -> None:
    there, image_ = image("image_9.jpg", status="complete"), failed()
    queue = [command(1, "send_image", there), command(2, "retry_image", image_)]
    talk = Talk(device(images=[older(), there, image_], commands=queue))
    [reply], delivered = answer(talk, 3)
    assert isinstance(reply, SendImage) and reply.image_name == "image_2.jpg" and delivered == [2]
    assert CommandsFulfilled(there.image_id) in talk.effects


def test_a_capture_command_before_a_retry_takes_the_picture() -> None:
    image_ = failed()
    queue = [command(1, "capture_image"), command(2, "retry_image", image_)]
    [reply], delivered = answer(Talk(device(images=[image_], commands=queue)), 1)
    assert isinstance(reply, Capture) and delivered == [1]


def ended(talk: Talk) -> list[tuple[int, str, str | None]]:
    """The commands that were settled without an answer: number, status, reason."""
    return [
        (effect.command.command_id.int, effect.status, effect.reason)
        for effect in talk.effects
        if isinstance(effect, CommandEnded)
    ]


@pytest.mark.parametrize("command_type", ["reboot", "update_config", "update_firmware"])
def test_what_the_wire_has_no_message_for_fails_with_that_reason(command_type: str) -> None:
    talk = Talk(device(commands=[command(1, command_type)]))
    [reply], delivered = answer(talk, 0)
    assert isinstance(reply, Capture) and delivered == []
    assert ended(talk) == [(1, "failed", f"The wire has no message for {command_type}: nothing was sent")]


def test_a_schedule_by_command_holds_for_the_wake_that_is_told_in_this_session() -> None:
    queued = command(1, "set_wake_schedule")
    queued.payload = {"wake_schedule_cron": "30 9 * * *"}
    talk = Talk(device(commands=[queued]))
    answer(talk, 0)
    assert SetSchedule("30 9 * * *") in talk.effects and ended(talk) == [(1, "completed", None)]
    assert talk.view.session is not None and talk.view.next_wake_at == talk.view.session.next_wake_at
    assert talk.view.next_wake_at is not None and f"{talk.view.next_wake_at:%H:%M}" == "09:30"


@pytest.mark.parametrize("payload", [{}, {"wake_schedule_cron": 3}, {"wake_schedule_cron": "every hour"}])
def test_a_schedule_that_can_not_be_read_changes_nothing(payload: dict[str, object]) -> None:
    queued = command(1, "set_wake_schedule")
    queued.payload = payload
    talk = Talk(device(commands=[queued]))
    answer(talk, 0)
    [(number, status, reason)] = ended(talk)
    assert (number, status, talk.view.cron) == (1, "failed", "0 */3 * * *") and reason


def test_a_command_without_an_image_fails_where_it_needs_one() -> None:
    talk = Talk(device(commands=[command(1, "send_image")]))
    [reply], delivered = answer(talk, 1)
    assert isinstance(reply, Capture) and delivered == [] and ended(talk)[0][:2] == (1, "failed")


def test_a_command_whose_answer_nobody_saw_leave_goes_out_with_the_next_answer() -> None:
    image_ = failed()
    queued = command(1, "retry_image", image_)
    queued.was_sent = True
    assert answer(Talk(device(images=[older(), image_], commands=[queued])), 2)[1] == [1]


def test_the_same_hello_again_takes_a_command_along_that_was_not_published() -> None:
    image_ = failed()
    talk = Talk(device(images=[older(), image_], commands=[command(1, "retry_image", image_)]))
    answer(talk, 2)
    again = command(1, "retry_image", image_)
    again.was_sent = True
    talk.view.commands = [again]
    [reply], delivered = answer(talk, 2)
    assert isinstance(reply, SendImage) and delivered == [1]

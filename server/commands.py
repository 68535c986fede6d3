"""Commands that a HELLO settles without an answer of their own. Pure.

The wire has no message that sets a schedule: every SLEEP and final ACK tells the next wake, so `set_wake_schedule` is
done when the server's own schedule follows it. `reboot`, `update_config` and `update_firmware` have no message at all,
in no dialect (docs/protocol.md): they end `failed` with that reason when their device comes.
"""

from __future__ import annotations

from typing import Final

from server import wake
from server.effects import CommandEnded, SaveDevice, SaveSession, SetSchedule
from server.session import Turn, next_wake_of
from server.view import CommandView, SessionView
from server.wire.states import CommandStatus, CommandType, HistoryCategory, HistoryEvent, HistorySeverity

IMAGE_COMMANDS: Final = (CommandType.RETRY_IMAGE, CommandType.SEND_IMAGE, CommandType.RESEND_CHUNKS)
WITHOUT_MESSAGE: Final = (CommandType.REBOOT, CommandType.UPDATE_CONFIG, CommandType.UPDATE_FIRMWARE)

SCHEDULE_KEY: Final = "wake_schedule_cron"
"""Of `set_wake_schedule`'s payload; named like the column that it sets."""


def settle(turn: Turn, session: SessionView) -> None:
    """Do what the server can do by itself, and end what can't be done; what is left is to be answered."""
    for command in turn.view.commands:
        if command.published or command.was_sent:
            continue
        if command.command_type == CommandType.SET_WAKE_SCHEDULE:
            _set_schedule(turn, session, command)
        elif command.command_type in WITHOUT_MESSAGE:
            _fail(turn, command, f"The wire has no message for {command.command_type}: nothing was sent")
        elif command.command_type in IMAGE_COMMANDS and command.image_id is None:
            _fail(turn, command, "It names no image of this device: image_id or image_name in command_payload does")


def _set_schedule(turn: Turn, session: SessionView, command: CommandView) -> None:
    view = turn.view
    cron = command.payload.get(SCHEDULE_KEY)
    if not isinstance(cron, str):
        _fail(turn, command, f'command_payload has no {SCHEDULE_KEY}, such as {{"{SCHEDULE_KEY}": "0 */3 * * *"}}')
        return
    try:
        wake.next_wake(cron, view.timezone, turn.now)
    except (wake.ScheduleError, LookupError) as error:
        _fail(turn, command, str(error))
        return
    before, view.cron = view.cron, cron
    view.next_wake_at = session.next_wake_at = next_wake_of(turn)
    command.published = True
    turn.add(SetSchedule(cron), SaveDevice(view), SaveSession(session))
    turn.add(CommandEnded(command, CommandStatus.COMPLETED))
    turn.history(
        HistoryCategory.CONFIGURATION,
        HistoryEvent.SCHEDULE_CHANGED,
        f"Wake schedule set to {cron}",
        command_id=str(command.command_id),
        schedule=cron,
        before=before,
    )
    turn.say(f"[Ingest] Wake schedule set to {cron} by command")


def _fail(turn: Turn, command: CommandView, reason: str) -> None:
    command.published = True
    turn.add(CommandEnded(command, CommandStatus.FAILED, reason))
    turn.history(
        HistoryCategory.COMMAND,
        HistoryEvent.COMMAND_FAILED,
        f"{command.command_type} failed: {reason}",
        severity=HistorySeverity.WARNING,
        command_id=str(command.command_id),
        command_type=command.command_type,
    )
    turn.say(f"[Ingest] Command {command.command_type} failed: {reason}", "warning")

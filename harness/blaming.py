"""From what failed to who is to blame: a step, an expectation, an error. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from harness.blame import Blame, first_cause
from harness.plan_steps import (
    ActOn,
    Call,
    Expect,
    Hook,
    Http,
    InsertRows,
    MessageSubject,
    Migrate,
    PhotosSubject,
    QueueSubject,
    RunSql,
    Send,
    SleepingSubject,
    StepPlan,
    Subject,
    UpdateRows,
)


def blame_of(step: StepPlan | None, error: BaseException | None = None, troubles: Iterable[Blame] = ()) -> Blame:
    """Where to look first; what boards said of themselves (`troubles`) explains the rest.

    Without a step it is a check of rows and bytes.
    """
    cause = first_cause(set(troubles))
    if cause is not None:
        return cause
    known = getattr(error, "blame", None)
    if isinstance(known, Blame):
        return known
    match step:
        case None | Call() | Http() | Migrate():
            return Blame.SERVER
        case Expect(subject=subject):
            return _of_subject(subject)
        case InsertRows() | UpdateRows() | RunSql() | Send() | ActOn() | Hook():
            return Blame.HARNESS
        case _:
            return Blame.FIRMWARE


def _of_subject(subject: Subject) -> Blame:
    match subject:
        case QueueSubject() | PhotosSubject() | SleepingSubject():
            return Blame.FIRMWARE
        case MessageSubject(sender=sender) if sender is not None:
            return Blame.FIRMWARE
        case _:
            return Blame.SERVER

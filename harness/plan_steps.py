"""The plan as data: what a run does, with every device, duration and size resolved. Pure.

Devices are numbers into `Plan.devices`; durations are milliseconds, sizes bytes. Nothing here is text that would have
to be read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.addresses import Direction, Which
from harness.scenario_faults import ActionName

Target = Literal["server", "broker", "database", "store"]

Json = Any
"""A plain JSON value: None, bool, int, float, str, list or dict."""

TraitValue = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in the file something stands; `line` counts from 1."""

    line: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDevice:
    """One device. `cron` is None where the server knows no schedule; `interval_ms` is the device's own timer."""

    number: int
    name: str
    group: str
    index: int
    mac: str
    device_id: str
    profile: str
    provisioning: Literal["mapped", "unmapped", "inactive", "unknown"]
    timezone: str
    cron: str | None
    interval_ms: int
    jitter_ms: int
    image_size_bytes: int
    chunk_size_bytes: int
    total_chunks: int
    picture: Literal["fast", "photo", "still"]
    traits: Mapping[str, TraitValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A fault for some devices. `times` is None for all messages that match; `wake` None for every wake.

    `parameters` by action: power_loss {for_ms | None}; duplicate {times, within_ms}; reorder {by} or {order};
    corrupt {flip, where}; delay {for_ms}; cut and lose {}; those of the line and of the device as in their classes.
    With direction `lasting`, event `link` or `device`: it begins `from_ms` after a wake, and `times` counts wakes.
    `for_ms` is how long a fault lasts that does, None as long as such a fault lasts.
    """

    place: Place
    devices: tuple[int, ...]
    event: str
    direction: Direction
    which: Which
    action: ActionName
    parameters: Mapping[str, Any]
    times: int | None
    wake: int | None
    from_ms: int = 0
    for_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """What every step has."""

    place: Place
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake(PlannedStep):
    """Wake these devices now; with `wait`, until they sleep again."""

    devices: tuple[int, ...]
    faults: tuple[PlannedFault, ...]
    wait: bool
    wifi_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance(PlannedStep):
    """Let time pass by `duration_ms`, or (None) until the sleeping ones of `devices` have come to their next wake."""

    duration_ms: int | None
    devices: tuple[int, ...]
    faults: tuple[PlannedFault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline(PlannedStep):
    """The next `wakes` wakes of these devices, by their own timers, without Wi-Fi."""

    devices: tuple[int, ...]
    wakes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertRows(PlannedStep):
    """Insert rows as the owner of the schema."""

    table: str
    rows: tuple[Mapping[str, Json], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRows(PlannedStep):
    """Change rows as the owner of the schema. A list in `where` means one of these, None means IS NULL."""

    table: str
    where: Mapping[str, Json]
    values: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSql(PlannedStep):
    """Run SQL as the owner of the schema."""

    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Send(PlannedStep):
    """Publish a raw message `times` times, once for each device (None: in nobody's name).

    `topic` is status, data, cmd, ack or retry of the device, or a whole topic (it has a slash). The payload is
    `payload`, or `size_bytes` bytes by the seed.
    """

    devices: tuple[int, ...] | None
    topic: str
    payload: bytes | None
    size_bytes: int | None
    times: int
    within_ms: int
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ActOn(PlannedStep):
    """Do something to a server, the broker or the database, and heal it after `heal_after_ms`.

    `do` is a word of `simulator.step_faults`; `which` is the server's number, None is all of them.
    """

    target: Target
    do: str
    which: int | None
    heal_after_ms: int | None
    settings: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrate(PlannedStep):
    """Bring the schema to a revision, stamp it, or run `sql` as its owner; `fails` is the SQLSTATE of its refusal."""

    to: str | None
    sql: str | None
    stamp: str | None
    fails: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """How many: both ends included, None is open."""

    least: int | None
    most: int | None

    def __contains__(self, number: int) -> bool:
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        if self.least == self.most:
            return str(self.least)
        if self.most is None:
            return f"at least {self.least}"
        return f"at most {self.most}" if self.least is None else f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(PlannedStep):
    """Call an SQL function; `returns` and `count` are None where nothing is expected."""

    function: str
    args: tuple[Json, ...]
    named_args: Mapping[str, Json]
    returns: tuple[Json, ...] | None
    count: Range | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpExchange:
    """A request and what its answer must be; `status` None is anything below 400.

    The connection breaks after `cut_after_bytes` of the body. `keep` names places in the answer, such as `0.id`, whose
    values later exchanges put in for `${kept.name}`.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    which: int
    status: int | None
    contains: Json
    text: str | None
    keep: Mapping[str, str] = field(default_factory=dict)
    cut_after_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Http(PlannedStep):
    """One HTTP exchange."""

    exchange: HttpExchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Power(PlannedStep):
    """Take or give power; with `restore_after_ms` it comes back by itself."""

    devices: tuple[int, ...]
    do: Literal["loss", "restore", "reset"]
    restore_after_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flash(PlannedStep):
    """Flash these boards; `firmware` is a version to build, or a build folder."""

    devices: tuple[int, ...]
    firmware: str
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk(PlannedStep):
    """Type `write` on each board's console, then wait for `pattern` (plain text where `is_literal`)."""

    devices: tuple[int, ...]
    write: str | None
    pattern: str | None
    is_literal: bool
    within_ms: int
    allow: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook(PlannedStep):
    """Call `function` of `module` with `args`."""

    module: str
    function: str
    args: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsSubject:
    """Rows of a table. `are` None: only the count matters; `order_by` empty: in any order."""

    table: str
    where: Mapping[str, Json]
    are: tuple[Mapping[str, Json], ...] | None
    count: Range | None
    order_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSubject:
    """One SELECT. `rows` is the number of rows it gives; when it is None, `equals` is what it gives."""

    sql: str
    rows: int | None
    equals: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSubject:
    """MQTT messages to or from devices; a condition that is None does not matter (see `has_equals`).

    With `each`, `count` holds for every device by itself.
    """

    to: tuple[int, ...] | None
    sender: tuple[int, ...] | None
    topic: str | None
    contains: Mapping[str, Json] | None
    lacks: tuple[str, ...]
    has_equals: bool
    equals: Json
    text: str | None
    count: Range
    each: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSubject:
    """Lines of the server's log; `devices` None: about anybody."""

    contains: str
    devices: tuple[int, ...] | None
    count: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSubject:
    """Columns of the ledger, summed over `devices`."""

    devices: tuple[int, ...]
    columns: Mapping[str, Range]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSubject:
    """Images in the SD-card queue of each device."""

    devices: tuple[int, ...]
    pending: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotosSubject:
    """Photos each device has taken since the start."""

    devices: tuple[int, ...]
    count: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepingSubject:
    """All these devices sleep."""

    devices: tuple[int, ...]


Subject = (
    RowsSubject
    | SqlSubject
    | MessageSubject
    | LogSubject
    | LedgerSubject
    | QueueSubject
    | PhotosSubject
    | SleepingSubject
    | HttpExchange
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect(PlannedStep):
    """A subject and when it holds. `window_ms` is None for now, and for always and never over the whole scenario."""

    mode: Literal["now", "eventually", "always", "never"]
    window_ms: int | None
    since_start: bool
    subject: Subject


StepPlan = (
    Wake
    | Advance
    | Offline
    | InsertRows
    | UpdateRows
    | RunSql
    | Send
    | ActOn
    | Migrate
    | Call
    | Http
    | Power
    | Flash
    | Talk
    | Hook
    | Expect
)

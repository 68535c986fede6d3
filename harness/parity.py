"""Do two kinds of devices do the same? Traces of one scenario, compared message by message. Pure.

A trace is what each device said and was told, in order, from a history's messages. Order must be equal, fields must be
equal, and a message must come as long after its wake's begin as on the other kind, within a tolerance. Each direction
has an order of its own; between the two, what a device says must stand before or after what it is told as on the other
kind. What is known to differ is declared here, with its reason, and shown apart; everything else is a difference.

Two things race by the protocol itself. A server asks for missing chunks at the last one, while others may still come.
And a photo that it has already is acknowledged at its metadata, while the device sends its chunks once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final

TOLERANCE_MS: Final = 2_000

CROSSING: Final = "crossing"
CUT_SHORT: Final = "cut short"
DECLARED: Final[dict[str, str]] = {
    "timestamp": "the time of the capture: a board boots for some hundred milliseconds first",
    "capture_timestamp": "the time of the capture: a board boots for some hundred milliseconds first",
    "next_wake_time": "a wake time counts from the end of the transfer, which comes later by the boot",
    "battery_voltage": "a board has a battery of its own, and one wake more behind it",
    "next_wake": "a wake time counts from the HELLO, which comes later by the boot",
    CROSSING: "a message that is repeated in its wake, or a chunk that comes behind its photo's last one while missing "
    "chunks are asked for, was under way at the same time as one of the other direction",
    CUT_SHORT: "a photo that the server has already is acknowledged while its chunks come again: how many still come, "
    "and which of them before that, is a matter of milliseconds",
}
"""Fields that may differ in value, never in being there; messages that may change places, or be one more; and why."""

UNDER_WAY_MAX: Final = 1
"""So many chunks a device may have sent before it hears that it need not: it waits for the PUBACK of each."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One message of a device: its name, its fields, and when it came after the begin of its wake."""

    name: str
    after_ms: int
    wake: int
    fields: Mapping[str, Any]
    is_up: bool
    place: int
    """Which message of the trace this is."""
    is_again: bool
    """The device has said, or was told, that before in this wake."""


@dataclass(slots=True)
class Comparison:
    """What differs between two traces: line by line, and apart from that what was declared."""

    compared: int = 0
    differences: list[str] = field(default_factory=list)
    declared: dict[str, int] = field(default_factory=dict)

    def declare(self, name: str) -> None:
        """One more of what may differ."""
        self.declared[name] = self.declared.get(name, 0) + 1

    @property
    def is_equal(self) -> bool:
        """Nothing differs but what was declared."""
        return not self.differences


def trace_of(records: Iterable[Mapping[str, Any]], device: str) -> list[Seen]:
    """The messages of one device, from the records of a history."""
    seen: list[Seen] = []
    begun_ms, wake = 0, 0
    names: set[str] = set()
    for record in records:
        if record.get("who") != device:
            continue
        if record["kind"] == "wake":
            begun_ms, wake, names = record["t_ms"], wake + 1, set()
        elif record["kind"] == "message":
            name, after_ms = _name(record), record["t_ms"] - begun_ms
            is_up, is_again = record["direction"] == "up", name in names
            seen.append(Seen(name, after_ms, wake, _fields(record), is_up, len(seen), is_again))
            names.add(name)
    return seen


def _name(record: Mapping[str, Any]) -> str:
    """`up data chunk 3 of image_1.jpg`: what makes two messages the same one."""
    channel = str(record["topic"]).partition("/")[2].partition("/")[2]
    payload = record.get("payload")
    words = ["sends" if record["direction"] == "up" else "is told", channel]
    if isinstance(payload, dict):
        if "chunk_id" in payload:
            words += ["chunk", str(payload["chunk_id"])]
        if "image_name" in payload:
            words.append(str(payload["image_name"]))
        words += [
            key for key in ("capture_image", "send_image", "missing_chunks", "ACK_OK", "next_wake") if key in payload
        ]
    return " ".join(words)


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    flat = dict(_flat("", record.get("payload")))
    if "payload_sha256" in record:
        flat["payload_sha256"] = record["payload_sha256"]
    if "text" in record:
        flat["text"] = record["text"]
    return flat


def _flat(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key in value:
            yield from _flat(f"{path}.{key}" if path else str(key), value[key])
    else:
        yield path, value


def slowest_answer_ms(trace: Sequence[Seen]) -> int:
    """How long the device waited for the first answer in the wake where that took longest; 0 where none came."""
    slowest_ms, wake, asked_ms, is_waiting = 0, 0, 0, False
    for item in trace:
        if item.is_up and item.wake != wake:
            wake, asked_ms, is_waiting = item.wake, item.after_ms, True
        elif not item.is_up and item.wake == wake and is_waiting:
            slowest_ms, is_waiting = max(slowest_ms, item.after_ms - asked_ms), False
    return slowest_ms


def compared(left: Sequence[Seen], right: Sequence[Seen], *, tolerance_ms: int = TOLERANCE_MS) -> Comparison:
    """What differs from `left` to `right`."""
    found = Comparison()
    cut_short = _cut_short(left, right)
    left, right = _without_surplus(found, left, cut_short), _without_surplus(found, right, cut_short)
    pairs: list[tuple[Seen, Seen]] = []
    for is_up in (True, False):
        pairs += _paired(found, *([item for item in trace if item.is_up is is_up] for trace in (left, right)))
    pairs.sort(key=lambda pair: pair[0].place)
    for one, other in pairs:
        _compare(found, one, other, tolerance_ms)
    _cross(found, pairs, cut_short)
    return found


def _cut_short(left: Sequence[Seen], right: Sequence[Seen]) -> dict[tuple[int, str], int]:
    """Photos of a wake whose last word comes before their last chunk; how many chunks both traces have.

    What one kind sends beyond the other is surplus only there: the server does without it, so it had the photo. And
    nothing may come behind the last word but what was under way.
    """
    last_chunks: dict[str, int] = {}
    for item in filter(_is_chunk, [*left, *right]):
        name, index = _photo(item)[1], item.fields["chunk_id"]
        last_chunks[name] = max(index, last_chunks.get(name, index))
    before, after = _told_in_time(left), _told_in_time(right)
    found: dict[tuple[int, str], int] = {}
    for photo in before.keys() & after.keys():
        both = (before[photo], after[photo])
        is_early = any(last_chunks.get(photo[1]) not in in_time for in_time, _ in both)
        if is_early and all(len(late) <= UNDER_WAY_MAX for _, late in both):
            found[photo] = min(len(in_time) + len(late) for in_time, late in both)
    return found


def _told_in_time(trace: Sequence[Seen]) -> dict[tuple[int, str], tuple[list[int], list[int]]]:
    """Of each photo with a last word: the chunks that are sent before it, and those behind it."""
    ends = {_photo(item): item.place for item in trace if _is_last_word(item)}
    found: dict[tuple[int, str], tuple[list[int], list[int]]] = {photo: ([], []) for photo in ends}
    for item in filter(_is_chunk, trace):
        if _photo(item) in ends:
            found[_photo(item)][item.place > ends[_photo(item)]].append(item.fields["chunk_id"])
    return found


def _without_surplus(
    found: Comparison, trace: Sequence[Seen], cut_short: Mapping[tuple[int, str], int]
) -> Sequence[Seen]:
    left_over = dict(cut_short)
    kept: list[Seen] = []
    for item in trace:
        if _is_chunk(item) and _photo(item) in left_over:
            if not left_over[_photo(item)]:
                found.declare(CUT_SHORT)
                continue
            left_over[_photo(item)] -= 1
        kept.append(item)
    return kept


def _is_chunk(item: Seen) -> bool:
    return item.is_up and isinstance(item.fields.get("chunk_id"), int)


def _is_last_word(item: Seen) -> bool:
    """The acknowledgement that ends a photo's transfer, and not the one that lets it go on."""
    return "ACK_OK.next_wake_time" in item.fields


def _paired(found: Comparison, left: Sequence[Seen], right: Sequence[Seen]) -> Iterable[tuple[Seen, Seen]]:
    """The messages of one direction that both have, in order; the others are differences."""
    matcher = SequenceMatcher(a=[item.name for item in left], b=[item.name for item in right], autojunk=False)
    for what, start, end, other_start, other_end in matcher.get_opcodes():
        if what == "equal":
            yield from zip(left[start:end], right[other_start:other_end], strict=True)
            continue
        found.differences += [f"- wake {item.wake}: {item.name}" for item in left[start:end]]
        found.differences += [f"+ wake {item.wake}: {item.name}" for item in right[other_start:other_end]]


def _cross(found: Comparison, pairs: Sequence[tuple[Seen, Seen]], cut_short: Mapping[tuple[int, str], int]) -> None:
    """Messages of a wake that changed places with one of the other direction; `pairs` in the order of the left."""
    lasts = _last_chunks(pairs)
    for number, (one, other) in enumerate(pairs):
        for later, later_other in pairs[number + 1 :]:
            if later.wake != one.wake:
                break
            if other.place < later_other.place:
                continue
            crossed = [(one, other), (later, later_other)]
            if one.is_again or later.is_again or _is_behind_last(lasts, crossed):
                found.declare(CROSSING)
            elif _is_cut_short(cut_short, crossed):
                found.declare(CUT_SHORT)
            else:
                found.differences.append(f"~ wake {one.wake}: {one.name}: after {later.name}, not before it")


def _photo(seen: Seen) -> tuple[int, str]:
    return seen.wake, str(seen.fields.get("image_name"))


def _last_chunks(pairs: Sequence[tuple[Seen, Seen]]) -> dict[tuple[int, str], tuple[Seen, Seen]]:
    """Of each photo and wake the chunk with the highest index, upon which a server asks for what is missing."""
    chunks = [pair for pair in pairs if _is_chunk(pair[0])]
    chunks.sort(key=lambda pair: (pair[0].fields["chunk_id"], -pair[0].place))
    return {_photo(one): (one, other) for one, other in chunks}


def _is_behind_last(lasts: Mapping[tuple[int, str], tuple[Seen, Seen]], crossed: Sequence[tuple[Seen, Seen]]) -> bool:
    """Whether a chunk and the request for missing ones both came behind the photo's last chunk, on either kind."""
    (chunk, _), (request, _) = sorted(crossed, key=lambda pair: not pair[0].is_up)
    last = lasts.get(_photo(chunk))
    if last is None or "missing_chunks" not in request.fields or _photo(request) != _photo(chunk):
        return False
    return all(last[side].place < min(pair[side].place for pair in crossed) for side in (0, 1))


def _is_cut_short(cut_short: Mapping[tuple[int, str], int], crossed: Sequence[tuple[Seen, Seen]]) -> bool:
    """Whether a chunk of such a photo crossed with the last word on it, or on another photo of that wake."""
    (chunk, _), (answer, _) = sorted(crossed, key=lambda pair: not pair[0].is_up)
    return _is_chunk(chunk) and _photo(chunk) in cut_short and _is_last_word(answer)


def _compare(found: Comparison, one: Seen, other: Seen, tolerance_ms: int) -> None:
    found.compared += 1
    if one.wake != other.wake:
        found.differences.append(f"~ wake {one.wake}: {one.name}: in wake {other.wake}")
    for key in sorted({*one.fields, *other.fields}):
        if key not in one.fields or key not in other.fields:
            where = "only before" if key in one.fields else "only after"
            found.differences.append(f"~ wake {one.wake}: {one.name}: {key} {where}")
        elif one.fields[key] != other.fields[key]:
            name = key.rpartition(".")[2]
            if name in DECLARED:
                found.declare(name)
            else:
                values = f"{one.fields[key]!r} became {other.fields[key]!r}"
                found.differences.append(f"~ wake {one.wake}: {one.name}: {key} {values}")
    late_ms = other.after_ms - one.after_ms
    if abs(late_ms) > tolerance_ms:
        found.differences.append(
            f"~ wake {one.wake}: {one.name}: after {other.after_ms} ms instead of {one.after_ms} ms"
        )

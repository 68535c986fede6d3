"""One merged timeline of a scenario as HTML: what boards printed, what went over MQTT, what changed in the database.

Theory. Records of a history stand in order; each is one entry in one of three lanes: board, MQTT, server and database.
Serial lines that are no program's own words (a boot log) are folded, time that nobody used is one thin line. The strip
above shows the whole at a glance, with empty time cut short. No script, no network: boxes filter by CSS. Pure; a report
may embed `fragment`, which carries its own style and no ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Literal

from harness.dut.log_lines import log_line
from harness.sequence import stamp
from harness.timeline_strip import Mark, strip
from harness.trace import message_words, values_words

Lane = Literal["board", "mqtt", "server", "step"]

LANE_OF: Final[Mapping[str, Lane]] = {
    "serial": "board",
    "wake": "board",
    "sleep": "board",
    "capture": "board",
    "fault": "board",
    "info": "board",
    "message": "mqtt",
    "row": "server",
    "server": "server",
    "log": "server",
    "invoke": "step",
    "fail": "step",
}
KINDS: Final = tuple(LANE_OF)
ENTRIES_MAX: Final = 4_000
QUIET_MS: Final = 5_000
"""So long without a record is told of."""

FOLDED_MIN: Final = 4
"""So many lines of a boot log in a row are folded."""

_OWN_TAG: Final = "cam"
_NO_BOARDS: Final = ("broker", "server", "database")
_BOXES: Final = (("serial", "serial lines"), ("message", "MQTT"), ("row", "rows"), ("log", "server log"))

STYLE: Final = """
.ws-timeline { --ink: #1c2330; --dim: #5b6677; --card: #fff; --line: #dde1e7; --bad: #c0321f; --warn: #8a5a00;
  --serial: #218a5d; --message: #2463c4; --row: #a33ea1; --fault: #c0321f; --wake: #d9742b;
  font: 13px/1.45 system-ui, sans-serif; color: var(--ink); }
@media (prefers-color-scheme: dark) { .ws-timeline { --ink: #e6e9ef; --dim: #9aa5b5; --card: #1c2027; --line: #333a45;
  --bad: #ff7a66; --warn: #e6b450; --serial: #5fd3a3; --message: #6ea8ff; --row: #dd8ce0; --fault: #ff7a66;
  --wake: #ffab70; } }
.ws-timeline .boxes { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 8px 0; color: var(--dim); }
.ws-timeline .strip { width: 100%; height: auto; display: block; background: var(--card); border-radius: 6px;
  border: 1px solid var(--line); }
.ws-timeline .strip text { fill: var(--dim); font-size: 11px; } .ws-timeline .strip .rule { stroke: var(--line); }
.ws-timeline .strip .cut { stroke: var(--dim); stroke-dasharray: 2 3; }
.ws-timeline .m-serial { fill: var(--serial); } .ws-timeline .m-message { fill: var(--message); }
.ws-timeline .m-row { fill: var(--row); } .ws-timeline .m-fault { fill: var(--fault); }
.ws-timeline .m-wake { fill: var(--wake); }
.ws-timeline .wide { overflow-x: auto; } .ws-timeline .wide > div { min-width: 900px; }
.ws-timeline .e { display: grid; grid-template-columns: 7.5em 6em minmax(0, 5fr) minmax(0, 5fr) minmax(0, 4fr);
  gap: 0 10px; padding: 1px 6px; border-bottom: 1px solid color-mix(in srgb, var(--line) 45%, transparent); }
.ws-timeline .e > * { overflow-wrap: anywhere; } .ws-timeline .e.head { font-weight: 600; position: sticky; top: 0;
  background: var(--card); border-bottom: 2px solid var(--line); z-index: 1; }
.ws-timeline time { color: var(--dim); font-variant-numeric: tabular-nums; white-space: nowrap; }
.ws-timeline .who { color: var(--dim); } .ws-timeline code { font: 12px/1.45 ui-monospace, monospace; }
.ws-timeline .mqtt { grid-column: 4; color: var(--message); }
.ws-timeline .server { grid-column: 5; color: var(--row); }
.ws-timeline .board { grid-column: 3; } .ws-timeline .k-serial .board { color: var(--serial); }
.ws-timeline .k-wake .board, .ws-timeline .k-sleep .board, .ws-timeline .k-capture .board { color: var(--wake);
  font-weight: 600; }
.ws-timeline .k-fault .board, .ws-timeline .bad > * { color: var(--bad); font-weight: 600; }
.ws-timeline .warn .board { color: var(--warn); } .ws-timeline .k-log .server { color: var(--dim); }
.ws-timeline .step { grid-column: 3 / -1; color: var(--dim); font-weight: 600; }
.ws-timeline .k-invoke, .ws-timeline .k-fail { background: color-mix(in srgb, var(--line) 40%, transparent); }
.ws-timeline .quiet { text-align: center; color: var(--dim); padding: 2px; border-bottom: 1px dashed var(--line); }
.ws-timeline details summary { cursor: pointer; color: var(--dim); } .ws-timeline details > code { display: block; }
.ws-timeline .boxes i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin: 0 4px; }
.ws-timeline .boxes .c-serial { background: var(--serial); }
.ws-timeline .boxes .c-message { background: var(--message); }
.ws-timeline .boxes .c-row { background: var(--row); } .ws-timeline .boxes .c-log { background: var(--dim); }
.ws-timeline:has(.b-serial:not(:checked)) .k-serial, .ws-timeline:has(.b-message:not(:checked)) .k-message,
.ws-timeline:has(.b-row:not(:checked)) .k-row, .ws-timeline:has(.b-log:not(:checked)) .k-log { display: none; }
"""

_PAGE_STYLE: Final = """
:root { color-scheme: light dark; } body { margin: 0 auto; max-width: 1500px; padding: 20px; background: #fbfbfa; }
@media (prefers-color-scheme: dark) { body { background: #14171c; color: #e6e9ef; } }
h1 { font: 600 20px/1.3 system-ui, sans-serif; } h2 { font: 600 15px/1.4 system-ui, sans-serif; margin: 28px 0 4px; }
"""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the timeline; `folded` are lines that stand behind it."""

    t_ms: int
    kind: str
    who: str
    text: str
    tone: str = ""
    folded: tuple[str, ...] = ()


def page(histories: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> str:
    """A whole document: a timeline for each scenario, by its id."""
    parts = [f"<h2>{escape(name)}</h2>{fragment(records)}" for name, records in histories.items()]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_PAGE_STYLE}{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def fragment(records: Iterable[Mapping[str, Any]], *, with_style: bool = False) -> str:
    """The timeline of one scenario's records, to be embedded; `with_style` where the page has not `STYLE` already."""
    known = [record for record in records if record.get("kind") in LANE_OF]
    entries = list(_folded([_entry(record) for record in known]))
    boxes = "".join(
        f'<label><input type="checkbox" class="b-{kind}" checked><i class="c-{kind}"></i>{escape(word)}</label>'
        for kind, word in _BOXES
    )
    marks = [Mark(record["t_ms"], str(record["who"]), _mark(str(record["kind"]))) for record in known]
    drawn = strip([mark for mark in marks if mark.kind], _devices(known))
    shown = "".join(_html(entries[:ENTRIES_MAX]))
    more = len(entries) - ENTRIES_MAX
    rest = f'<div class="quiet">{more:,} more entries: wakestorm timeline shows them all</div>' if more > 0 else ""
    head = "<span>time</span><span></span><span>board</span><span>MQTT</span><span>server, database</span>"
    style = f"<style>{STYLE}</style>" if with_style else ""
    return (
        f'{style}<section class="ws-timeline">{drawn}<div class="boxes">{boxes}</div><div class="wide"><div>'
        f'<div class="e head">{head}</div>{shown}{rest}</div></div></section>'
    )


def _devices(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Who has a lane of its own in the strip: devices, in the order of their names."""
    return sorted({str(record["who"]) for record in records if record["kind"] in ("wake", "serial", "message")})


def _mark(kind: str) -> str:
    return "wake" if kind in ("wake", "capture") else kind if kind in ("serial", "message", "row", "fault") else ""


def _entry(record: Mapping[str, Any]) -> _Entry:
    kind, who, t_ms = str(record["kind"]), str(record["who"]), int(record["t_ms"])
    fields = {key: value for key, value in record.items() if key not in ("t_ms", "kind", "who", "scenario")}
    match kind:
        case "serial" | "log":
            level = str(fields.get("level", "info"))
            tone = "bad" if level == "error" else "warn" if level == "warning" else ""
            return _Entry(t_ms, kind, who, str(fields.get("text", "")), tone)
        case "message":
            return _Entry(t_ms, kind, who, _message(fields))
        case "row":
            table = str(fields.pop("table", ""))
            return _Entry(t_ms, kind, who, f"{table}: {values_words(fields)}")
        case "invoke" | "fail":
            words = f"step {fields.get('index', 0) + 1}: {fields.get('step', '')}" if "step" in fields else kind
            return _Entry(
                t_ms, kind, who, words + (" failed" if kind == "fail" else ""), "bad" if kind == "fail" else ""
            )
        case _:
            return _Entry(t_ms, kind, who, f"{kind} {values_words(fields)}".strip())


def _message(fields: Mapping[str, Any]) -> str:
    arrow = "\u2190" if fields.get("direction") == "down" else "\u2192"
    channel = str(fields.get("topic", "")).rpartition("/")[2]
    return f"{arrow} {channel} {message_words(fields.get('payload', fields.get('text', '')))}"


def _folded(entries: Sequence[_Entry]) -> Iterator[_Entry]:
    """Runs of lines that are not the program's own words become one entry."""
    run: list[_Entry] = []
    for entry in [*entries, None]:
        if entry is not None and _is_noise(entry) and (not run or run[0].who == entry.who):
            run.append(entry)
            continue
        yield from _one_of(run)
        run = [entry] if entry is not None and _is_noise(entry) else []
        if entry is not None and not run:
            yield entry


def _is_noise(entry: _Entry) -> bool:
    if entry.kind != "serial" or entry.tone:
        return False
    parts = log_line(entry.text)
    return parts is None or parts.tag != _OWN_TAG


def _one_of(run: Sequence[_Entry]) -> Sequence[_Entry]:
    if len(run) < FOLDED_MIN:
        return run
    first = run[0]
    words = f"{len(run)} lines: {first.text}"
    return [_Entry(first.t_ms, "serial", first.who, words, "", tuple(entry.text for entry in run))]


def _html(entries: Sequence[_Entry]) -> Iterator[str]:
    before_ms: int | None = None
    for entry in entries:
        if before_ms is not None and entry.t_ms - before_ms >= QUIET_MS:
            yield f'<div class="quiet">{_span(entry.t_ms - before_ms)}</div>'
        before_ms = entry.t_ms
        lane = LANE_OF[entry.kind] if entry.who not in _NO_BOARDS else "server"
        text = f"<code>{escape(entry.text)}</code>"
        if entry.folded:
            lines = "".join(f"<code>{escape(line)}</code>" for line in entry.folded)
            text = f"<details><summary>{text}</summary>{lines}</details>"
        who = "" if lane == "step" else escape(entry.who)
        yield (
            f'<div class="e k-{entry.kind}{" " + entry.tone if entry.tone else ""}"><time>{stamp(entry.t_ms)}</time>'
            f'<span class="who">{who}</span><span class="{lane}">{text}</span></div>'
        )


def _span(ms: int) -> str:
    """`2 h 59 min`, `12 s`."""
    seconds = ms // 1_000
    hours, minutes = seconds // 3_600, seconds % 3_600 // 60
    if hours:
        return f"{hours} h {minutes} min later"
    return f"{minutes} min {seconds % 60} s later" if minutes else f"{seconds} s later"

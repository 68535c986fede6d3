"""The HTML report of a soak: one file, no script, no network, light and dark by CSS. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from harness.events import ScenarioEnded
from harness.report.style import BASE
from harness.soak.order import DAY_MS
from harness.soak.plot import COLOURS_MAX, Window, plot
from harness.soak.seldom import reason

_STYLE: Final = """
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 16px; }
figure { margin: 0; padding: 12px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
figcaption { font-weight: 600; margin-bottom: 4px; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--dim); font-size: 15px; } .grid { stroke: var(--line); } .fault { fill: var(--fault); }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
polyline.c0 { stroke: var(--c0); } polyline.c1 { stroke: var(--c1); } polyline.c2 { stroke: var(--c2); }
polyline.c3 { stroke: var(--c3); } polyline.c4 { stroke: var(--c4); } polyline.c5 { stroke: var(--c5); }
.c0 { fill: var(--c0); background: var(--c0); } .c1 { fill: var(--c1); background: var(--c1); }
.c2 { fill: var(--c2); background: var(--c2); } .c3 { fill: var(--c3); background: var(--c3); }
.c4 { fill: var(--c4); background: var(--c4); } .c5 { fill: var(--c5); background: var(--c5); }
polyline.c0, polyline.c1, polyline.c2, polyline.c3, polyline.c4, polyline.c5 { fill: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 13px; color: var(--dim); }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(360px, 100%), 1fr)); gap: 16px; }
.tables table + table { margin-top: 16px; }
"""

_OUTAGE_WORDS: Final = ("server", "broker", "database")

_LONG_S: Final = 3 * 3_600
"""Latencies from here on are shown in hours."""


def page(document: Mapping[str, Any], ended: ScenarioEnded) -> str:
    """The whole report of soak.json's `document` and the run's end."""
    verdict = document["verdict"]
    tone = "good" if verdict == "PASS" else "bad"
    ledger, counts = ended.result.ledger, ended.result.counts
    days = (
        f"{document['days']} of {document['days_ordered']} days"
        if document["interrupted"]
        else f"{document['days']} days"
    )
    summary = (
        f"{counts.wakes} wakes; {ledger.captured} images taken, {ledger.stored} stored, {ledger.recovered} of them"
        f" recovered, {ledger.lost} lost, {ledger.doubled} doubled, {ledger.damaged} damaged, {ledger.pending} pending,"
        f" {ledger.refused} refused (damaged at their source)"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(verdict)}: soak, {document['devices']} cameras, {escape(days)}</title>"
        f"<style>{BASE}{_STYLE}</style></head><body>"
        f'<h1><span class="{tone}">{escape(verdict)}</span> {document["devices"]} cameras, {escape(days)}</h1>'
        f'<p class="dim">{escape(summary)}<br>{document["days_per_minute"]} scenario days a minute,'
        f" {document['wakes_per_cpu_s']} wake cycles a second and core, {document['cpu_s']} processor seconds of the"
        " soaking process<br>"
        f"<code>{escape(document['command'])}</code></p>"
        f"{_failures(ended)}{_thresholds(document['thresholds'])}"
        f"<h2>Day by day</h2><p class='dim'>Shaded: the fault windows of server, broker and database,"
        " from inject to heal.</p>"
        f'<div class="plots">{_plots(document["samples"])}</div>'
        f"<h2>What the soak has tried</h2>{_coverage(document)}</body></html>\n"
    )


def _failures(ended: ScenarioEnded) -> str:
    if not ended.result.failures:
        return ""
    items = "".join(
        f"<li><b>{escape(item.title)}</b>: expected {escape(item.expected)}; found {escape(item.found[:2_000])}"
        + (f"<pre>{escape(chr(10).join(item.trace))}</pre>" if item.trace else "")
        + "</li>"
        for item in ended.result.failures[:50]
    )
    return f'<h2 class="bad">Failures</h2><ul>{items}</ul>'


def _thresholds(items: Sequence[Mapping[str, Any]]) -> str:
    tones = {True: "good", False: "bad", None: "dim"}
    rows = "".join(
        f"<tr><td>{escape(item['name'])}</td><td>{escape(item['limit'])}</td><td>{escape(item['found'])}</td>"
        f'<td class="{tones[item["holds"]]}">{escape(_word_of(item))}</td></tr>'
        for item in items
    )
    return f"<h2>Thresholds</h2><table><tr><th>What<th>Limit<th>Found<th></tr>{rows}</table>"


def _word_of(threshold: Mapping[str, Any]) -> str:
    return {True: "holds", False: "does not hold", None: str(threshold["doubt"])}[threshold["holds"]]


def _plots(samples: Sequence[Mapping[str, Any]]) -> str:
    if not samples:
        return '<p class="dim">No day was finished.</p>'
    days = [float(sample["day"]) for sample in samples]
    windows = [
        Window(name, began_ms / DAY_MS, ended_ms / DAY_MS)
        for sample in samples
        for name, began_ms, ended_ms in sample["windows"]
    ]
    figures = [
        plot(title, lines, days, unit=unit, windows=windows)
        for title, unit, lines in (*_of_images(samples), *_of_work(samples), *_of_memory(samples), *_of_tables(samples))
    ]
    return "".join(figures)


def _column(samples: Sequence[Mapping[str, Any]], name: str, scale: float = 1.0) -> list[float]:
    return [sample[name] * scale for sample in samples]


def _a_day(samples: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    values = _column(samples, name)
    return [later - earlier for earlier, later in zip([0.0, *values], values, strict=False)]


Figures = Iterator[tuple[str, str, dict[str, list[float]]]]
"""Title, unit, lines."""


def _of_images(samples: Sequence[Mapping[str, Any]]) -> Figures:
    names = {"taken": "images_captured", "complete": "images_complete"}
    yield "Images taken and complete", "", {word: _column(samples, name) for word, name in names.items()}
    names = {
        "pending": "images_pending",
        "receiving": "images_receiving",
        "failed": "images_failed",
        "held by cameras": "images_held",
    }
    lines = {word: _column(samples, name) for word, name in names.items()}
    yield "Images not complete, at each day's end", "", lines
    names = {"median": "latency_p50_s", "95 of 100": "latency_p95_s", "longest": "latency_max_s"}
    unit, scale = ("h", 1 / 3_600) if max(_column(samples, "latency_max_s")) >= _LONG_S else ("s", 1.0)
    yield "From photo to complete", unit, {word: _column(samples, name, scale) for word, name in names.items()}


def _of_work(samples: Sequence[Mapping[str, Any]]) -> Figures:
    yield "Wake cycles a day", "", {"wakes": _a_day(samples, "wakes")}
    retries = {"timeouts": "timeouts", "retry commands": "retry_commands", "alerts": "alerts"}
    yield "Timeouts and retries a day", "", {word: _a_day(samples, name) for word, name in retries.items()}
    words = sorted({kind.split(" ")[0] for sample in samples for kind in sample["faults"]})
    faults: dict[str, list[float]] = {"all": [float(sum(sample["faults"].values())) for sample in samples]}
    for group in (*_OUTAGE_WORDS, "wifi"):
        if group in words:
            faults[group] = [
                float(sum(count for kind, count in sample["faults"].items() if kind.startswith(group)))
                for sample in samples
            ]
    yield "Faults that struck, a day", "", faults


def _of_memory(samples: Sequence[Mapping[str, Any]]) -> Figures:
    has_servers = any(sample["server_rss_bytes"] for sample in samples)
    whose = "simulator" if has_servers else "simulator and server, one process"
    lines = {"resident": _column(samples, "rss_bytes", 1e-6)}
    if any(sample["heap_bytes"] for sample in samples):
        lines["in use"] = _column(samples, "heap_bytes", 1e-6)
    yield f"Memory of {whose}", "MB", lines
    if has_servers:
        names = {"server": "server_rss_bytes", "broker": "broker_rss_bytes"}
        yield "Memory of server and broker", "MB", {word: _column(samples, n, 1e-6) for word, n in names.items()}
    if any(sample["database_memory_bytes"] for sample in samples):
        names = {"with shared buffers, which fill up": "database_memory_bytes", "without": "database_own_bytes"}
        yield "Memory of PostgreSQL", "MB", {word: _column(samples, name, 1e-6) for word, name in names.items()}
    yield "Open database connections", "", {"connections": _column(samples, "connections")}


def _of_tables(samples: Sequence[Mapping[str, Any]]) -> Figures:
    yield "Size of the database", "MB", {"on disk": _column(samples, "database_bytes", 1e-6)}
    largest = list(samples[-1]["table_bytes"])[:COLOURS_MAX]
    sizes = {table: [sample["table_bytes"].get(table, 0) * 1e-6 for sample in samples] for table in largest}
    yield "Sizes of the largest tables, indexes included", "MB", sizes
    names = {"of open images": "rows_chunks", "set aside": "rows_chunks_aside", "staged": "rows_chunks_staged"}
    yield "Chunk rows at each day's end", "", {word: _column(samples, name) for word, name in names.items()}
    kept = ("sessions", "history", "ack_log", "quarantined")
    yield "Rows of the tables that keep records", "", {name: _column(samples, f"rows_{name}") for name in kept}


_PARTS: Final = (
    {"catalogue": "The catalogue of faults", "people": "What people did to the fleet"},
    {"faults": "Faults by step of the protocol"},
    {"server": "Moves of the server's table", "device": "Moves of the device's table"},
)
"""Columns of about one length."""


def _coverage(document: Mapping[str, Any]) -> str:
    columns = ("".join(_part(document, part, title) for part, title in parts.items()) for parts in _PARTS)
    return f'<div class="tables">{"".join(f"<div>{tables}</div>" for tables in columns)}</div>'


def _part(document: Mapping[str, Any], part: str, title: str) -> str:
    hits_by_name = document["coverage"].get(part, {})
    rows = "".join(_hits(name, hits, _why_zero(document, part, name)) for name, hits in hits_by_name.items())
    return f"<table><tr><th>{escape(title)}<th class='n'>Hits</tr>{rows}</table>"


def _hits(name: str, hits: int, why_zero: str) -> str:
    if hits:
        return f'<tr><td>{escape(name)}</td><td class="n">{hits}</td></tr>'
    why = f'<br><span class="dim">{escape(why_zero)}</span>' if why_zero else ""
    return f'<tr><td>{escape(name)}{why}</td><td class="n dim">not tried yet</td></tr>'


def _why_zero(document: Mapping[str, Any], part: str, name: str) -> str:
    return reason(
        part,
        name,
        devices=document["devices"],
        chunk_size_bytes=document["chunk_size_bytes"],
        is_processes=document["bench"] == "processes",
    )

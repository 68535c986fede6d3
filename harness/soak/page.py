"""The HTML report of a soak: one file, no script, no network, light and dark by CSS. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from harness.events import ScenarioEnded
from harness.soak.plot import plot

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --dim: #5b6677; --paper: #fbfbfa; --card: #fff; --line: #dde1e7;
  --fault: #f3c26b40; --good: #1a7f4b; --bad: #c0321f; --c0: #2463c4; --c1: #d9742b; --c2: #218a5d; --c3: #a33ea1;
  --c4: #8a7a13; --c5: #667085; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #9aa5b5; --paper: #14171c; --card: #1c2027;
  --line: #333a45; --fault: #e6a83b33; --good: #4cc38a; --bad: #ff7a66; --c0: #6ea8ff; --c1: #ffab70; --c2: #5fd3a3;
  --c3: #dd8ce0; --c4: #d9c75a; --c5: #98a2b3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 24px; font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 32px 0 8px; }
code { font-size: 13px; overflow-wrap: anywhere; } .dim { color: var(--dim); } .good { color: var(--good); }
.bad { color: var(--bad); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 16px; }
figure { margin: 0; padding: 12px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
figcaption { font-weight: 600; margin-bottom: 4px; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--dim); font-size: 11px; } .grid { stroke: var(--line); } .fault { fill: var(--fault); }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
polyline.c0 { stroke: var(--c0); } polyline.c1 { stroke: var(--c1); } polyline.c2 { stroke: var(--c2); }
polyline.c3 { stroke: var(--c3); } polyline.c4 { stroke: var(--c4); } polyline.c5 { stroke: var(--c5); }
.c0 { fill: var(--c0); background: var(--c0); } .c1 { fill: var(--c1); background: var(--c1); }
.c2 { fill: var(--c2); background: var(--c2); } .c3 { fill: var(--c3); background: var(--c3); }
.c4 { fill: var(--c4); background: var(--c4); } .c5 { fill: var(--c5); background: var(--c5); }
polyline.c0, polyline.c1, polyline.c2, polyline.c3, polyline.c4, polyline.c5 { fill: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 13px; color: var(--dim); }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(360px, 1fr)); gap: 16px; align-items: start; }
table { border-collapse: collapse; width: 100%; font-size: 13px; background: var(--card); }
td, th { border-bottom: 1px solid var(--line); padding: 3px 8px; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
"""

_OUTAGE_WORDS: Final = ("server", "broker", "database")


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
        f"<style>{_STYLE}</style></head><body>"
        f'<h1><span class="{tone}">{escape(verdict)}</span> {document["devices"]} cameras, {escape(days)}</h1>'
        f'<p class="dim">{escape(summary)}<br>{document["days_per_minute"]} scenario days a minute,'
        f" {document['cpu_s']} processor seconds of the soaking process<br>"
        f"<code>{escape(document['command'])}</code></p>"
        f"{_failures(ended)}{_thresholds(document['thresholds'])}"
        f"<h2>Day by day</h2><p class='dim'>Shaded: days on which server, broker or database were hit.</p>"
        f'<div class="plots">{_plots(document["samples"])}</div>'
        f"<h2>What the soak has tried</h2>{_coverage(document['coverage'])}</body></html>\n"
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
    words = {True: ("good", "holds"), False: ("bad", "does not hold"), None: ("dim", "too few days to say")}
    rows = "".join(
        f"<tr><td>{escape(item['name'])}</td><td>{escape(item['limit'])}</td><td>{escape(item['found'])}</td>"
        f'<td class="{words[item["holds"]][0]}">{words[item["holds"]][1]}</td></tr>'
        for item in items
    )
    return f"<h2>Thresholds</h2><table><tr><th>What<th>Limit<th>Found<th></tr>{rows}</table>"


def _plots(samples: Sequence[Mapping[str, Any]]) -> str:
    if not samples:
        return '<p class="dim">No day was finished.</p>'
    days = [int(sample["day"]) for sample in samples]
    hit = [
        int(sample["day"])
        for sample in samples
        if any(kind.split(" ")[0] in _OUTAGE_WORDS for kind in sample["faults"])
    ]

    def column(name: str, scale: float = 1.0) -> list[float]:
        return [sample[name] * scale for sample in samples]

    def a_day(name: str) -> list[float]:
        values = column(name)
        return [later - earlier for earlier, later in zip([0.0, *values], values, strict=False)]

    words = sorted({kind.split(" ")[0] for sample in samples for kind in sample["faults"]})
    faults: dict[str, list[float]] = {"all": [float(sum(sample["faults"].values())) for sample in samples]}
    for group in (*_OUTAGE_WORDS, "wifi"):
        if group in words:
            faults[group] = [
                float(sum(count for kind, count in sample["faults"].items() if kind.startswith(group)))
                for sample in samples
            ]
    open_images = {
        "pending": column("images_pending"),
        "receiving": column("images_receiving"),
        "failed": column("images_failed"),
        "held by cameras": column("images_held"),
    }
    latency = {
        "median": column("latency_p50_s"),
        "95 of 100": column("latency_p95_s"),
        "longest": column("latency_max_s"),
    }
    work = {"waiting chunks": column("rows_chunks"), "set aside": column("rows_chunks_aside")}
    figures = [
        plot(
            "Images taken and complete",
            {"taken": column("images_captured"), "complete": column("images_complete")},
            days,
        ),
        plot("Images not complete, at each day's end", open_images, days, marked=hit),
        plot("Wake cycles a day", {"wakes": a_day("wakes")}, days, marked=hit),
        plot("Faults that struck, a day", faults, days),
        plot("Retries a day", {"retries": a_day("retries"), "commands": a_day("retry_commands")}, days, marked=hit),
        plot("From photo to complete", latency, days, unit="s", marked=hit),
        plot("Memory of simulator and server", {"resident": column("rss_bytes", 1e-6)}, days, unit="MB"),
        plot("Size of the database", {"on disk": column("database_bytes", 1e-6)}, days, unit="MB"),
        plot("Chunk rows at each day's end", work | {"staged": column("rows_chunks_staged")}, days, marked=hit),
        plot(
            "Rows of the tables that keep records",
            {name: column(f"rows_{name}") for name in ("sessions", "history", "ack_log", "quarantined")},
            days,
        ),
        plot("Open database connections", {"connections": column("connections")}, days, marked=hit),
    ]
    return "".join(figures)


def _coverage(coverage: Mapping[str, Mapping[str, int]]) -> str:
    titles = {"faults": "Faults", "server": "Moves of the server's table", "device": "Moves of the device's table"}
    tables = []
    for part, title in titles.items():
        rows = "".join(
            f"<tr><td>{escape(name)}</td>"
            + (f'<td class="n">{hits}</td></tr>' if hits else '<td class="n dim">not tried yet</td></tr>')
            for name, hits in coverage.get(part, {}).items()
        )
        tables.append(f"<table><tr><th>{escape(title)}<th class='n'>Hits</tr>{rows}</table>")
    return f'<div class="tables">{"".join(tables)}</div>'

"""The style sheet that all reports share: light and dark by the reader's setting, no network, no fonts of its own."""

from __future__ import annotations

from typing import Final

BASE: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --dim: #566073; --paper: #fbfbfa; --card: #fff; --line: #d5dae2;
  --fault: #e8a13a59; --good: #17704a; --bad: #b3261e; --warn: #8a5a00; --mark: #fdf0c8; --link: #1f5fbf;
  --c0: #2463c4; --c1: #d9742b; --c2: #218a5d; --c3: #a33ea1; --c4: #8a7a13; --c5: #667085; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #a3adbc; --paper: #14171c; --card: #1c2027;
  --line: #3a424e; --fault: #e6a83b4d; --good: #56cc94; --bad: #ff8a78; --warn: #ecb95c; --mark: #4a3f1c;
  --link: #7fb2ff; --c0: #6ea8ff; --c1: #ffab70; --c2: #5fd3a3; --c3: #dd8ce0; --c4: #d9c75a; --c5: #98a2b3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 24px; font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 32px 0 8px; }
code { font-size: 13px; overflow-wrap: anywhere; } .dim { color: var(--dim); } .good { color: var(--good); }
.bad { color: var(--bad); }
table { border-collapse: collapse; width: 100%; font-size: 13px; background: var(--card); }
td, th { border-bottom: 1px solid var(--line); padding: 3px 8px; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
"""

RUN: Final = """
body { max-width: 1180px; }
a { color: var(--link); } h3 { font-size: 14px; margin: 18px 0 6px; }
.sums { display: flex; flex-wrap: wrap; gap: 6px 18px; margin: 12px 0; padding: 0; list-style: none; }
.sums b { font-variant-numeric: tabular-nums; }
form { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; margin: 16px 0; padding: 10px 0;
  border-block: 1px solid var(--line); position: sticky; top: 0; background: var(--paper); z-index: 1; }
input[type=search] { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--dim);
  border-radius: 6px; padding: 5px 9px; flex: 1 1 220px; min-width: 0; }
form label { display: inline-flex; gap: 5px; align-items: center; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.s { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--dim); border-radius: 6px;
  margin: 6px 0; padding: 6px 12px; content-visibility: auto; contain-intrinsic-size: auto 40px; }
.s.pass { border-left-color: var(--good); } .s.fail { border-left-color: var(--bad); }
.s.error, .s.inconclusive { border-left-color: var(--warn); }
.s[hidden] { display: none; }
.s > summary, .line { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: baseline; cursor: default; }
summary { cursor: pointer; } .s > summary::before { content: "\\25b8"; color: var(--dim); }
.s[open] > summary::before { content: "\\25be"; }
.v { font-weight: 700; font-size: 12px; letter-spacing: .03em; min-width: 3.6em; }
.pass .v { color: var(--good); } .fail .v { color: var(--bad); } .error .v, .inconclusive .v { color: var(--warn); }
.name { font-weight: 600; flex: 1 1 260px; overflow-wrap: anywhere; } .meta { color: var(--dim); font-size: 13px; }
.id { color: var(--dim); font-size: 13px; flex-basis: 100%; overflow-wrap: anywhere; }
.failure { border-top: 1px solid var(--line); margin-top: 10px; padding-top: 6px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 14px; margin: 8px 0; }
dt { color: var(--dim); } dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } pre { margin: 6px 0; font-size: 12.5px; line-height: 1.45; }
.wide:focus-visible { outline-offset: -2px; }
mark { background: var(--mark); color: inherit; display: inline-block; min-width: 100%; }
td del { color: var(--dim); } td ins { text-decoration: none; font-weight: 600; }
.run { user-select: all; display: block; padding: 6px 10px; border: 1px dashed var(--line); border-radius: 6px; }
details details { margin: 8px 0; } details details > summary { font-weight: 600; font-size: 14px; }
.pictures { display: flex; flex-wrap: wrap; gap: 12px; } figure { margin: 0; font-size: 12px; max-width: 160px; }
.pictures img { display: block; width: 96px; image-rendering: pixelated; border: 1px solid var(--line); }
.none { display: grid; place-items: center; width: 96px; height: 72px; border: 1px dashed var(--dim);
  text-align: center; color: var(--dim); }
.note { background: var(--mark); padding: 6px 10px; border-radius: 6px; }
svg.seq { display: block; min-width: 760px; width: 100%; max-width: 1000px; height: auto; }
svg.seq text { fill: var(--ink); font: 12.5px system-ui, sans-serif; } svg.seq .t, svg.seq .gap { fill: var(--dim); }
svg.seq .t { font-variant-numeric: tabular-nums; font-size: 11.5px; } svg.seq .head { font-weight: 700; }
svg.seq .life { stroke: var(--line); } svg.seq .way { stroke: var(--dim); fill: none; }
svg.seq .tip, svg.seq .dot { fill: var(--dim); } svg.seq .rows .way { stroke: var(--c2); }
svg.seq .rows .tip { fill: var(--c2); } svg.seq .fault .way, svg.seq .bad .way { stroke: var(--bad); stroke-width: 2; }
svg.seq .fault text.w, svg.seq .bad text.w { fill: var(--bad); font-weight: 600; }
svg.seq .heal text.w { fill: var(--good); } svg.seq .step text { fill: var(--dim); font-style: italic; }
svg.seq .step .way { stroke: var(--line); } svg.seq .bad rect { fill: var(--mark); }
@media (max-width: 640px) { body { padding: 12px; } dl { grid-template-columns: minmax(0, 1fr); }
  dt { margin-top: 6px; } form { position: static; } }
@media print { form { display: none; } }
"""

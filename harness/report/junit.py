"""junit.xml: a suite for each scenario file, a case for each of its cases. CI systems read it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.events import Event, LeftOut, ScenarioEnded, ScenarioResult, SuiteEnded, SuiteStarted
from harness.report.words import failure_lines
from harness.verdict import Verdict

_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JunitReporter:
    """Writes the file at the end of the suite; planned scenarios without a result are errors there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._planned: tuple[str, ...] = ()
        self._left_out: tuple[LeftOut, ...] = ()
        self._results: dict[str, ScenarioResult] = {}

    def on_event(self, event: Event) -> None:
        """Collects; writes at SuiteEnded."""
        match event:
            case SuiteStarted():
                self._planned = event.planned
                self._left_out = event.left_out
            case ScenarioEnded(result=result):
                self._results[result.id] = result
            case SuiteEnded():
                order = [*self._planned, *(name for name in self._results if name not in set(self._planned))]
                known = [self._results[name] for name in order if name in self._results]
                not_run = [name for name in order if name not in self._results]
                draft = self._path.with_name(f".{self._path.name}.part")
                draft.write_bytes(junit_xml(known, not_run, self._left_out, wall_s=event.wall_s))
                draft.replace(self._path)
            case _:
                pass


def junit_xml(
    results: Sequence[ScenarioResult],
    not_run: Sequence[str] = (),
    left_out: Sequence[LeftOut] = (),
    *,
    wall_s: float = 0.0,
) -> bytes:
    """The document. FAIL is a failure; ERROR, INCONCLUSIVE and a scenario without result are errors.

    What a folder has left out is skipped, with the reason.
    """
    by_file: dict[str, list[ET.Element]] = {}
    for result in results:
        by_file.setdefault(result.file, []).append(_case(result))
    for name in not_run:
        case = ET.Element("testcase", name=_legal(name), classname=_class_name(name), time="0.000")
        ET.SubElement(case, "error", type="not run", message="the run ended before this scenario did")
        by_file.setdefault(name.partition("::")[0], []).append(case)
    for one in left_out:
        case = ET.Element("testcase", name=_legal(one.scenario), classname=_class_name(one.scenario), time="0.000")
        ET.SubElement(case, "skipped", message=_legal(f"not for this DUT: {one.reason} ({one.hint})"))
        by_file.setdefault(one.scenario.partition("::")[0], []).append(case)
    root = ET.Element("testsuites", name="wakestorm", time=f"{wall_s:.3f}")
    for file, cases in by_file.items():
        suite = ET.SubElement(root, "testsuite", name=_legal(file))
        suite.extend(cases)
        _count(suite, cases)
    _count(root, [case for cases in by_file.values() for case in cases])
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(result: ScenarioResult) -> ET.Element:
    name = f"{result.name} [{result.case}]" if result.case else result.name
    case = ET.Element(
        "testcase",
        name=_legal(name),
        classname=_class_name(result.file),
        file=_legal(result.file),
        time=f"{result.wall_s:.3f}",
    )
    properties = ET.SubElement(case, "properties")
    said = (("seed", str(result.seed)), ("bench", result.bench), ("covers", " ".join(result.covers)))
    for key, value in (*said, *_attempt(result)):
        ET.SubElement(properties, "property", name=key, value=_legal(value))
    if result.verdict is Verdict.PASS:
        return case
    kind = "failure" if result.verdict is Verdict.FAIL else "error"
    title = result.failures[0].title if result.failures else result.verdict.value
    element = ET.SubElement(case, kind, type=result.verdict.value, message=_legal(title))
    paragraphs = ["\n".join(failure_lines(result, failure)) for failure in result.failures]
    blames = dict.fromkeys(failure.blame for failure in result.failures if failure.blame)
    ET.SubElement(properties, "property", name="blame", value=_legal(" ".join(blames)))
    element.text = _legal("\n\n".join(paragraphs))
    return case


def _attempt(result: ScenarioResult) -> tuple[tuple[str, str], ...]:
    return (("attempt", str(result.attempt)),) if result.attempt > 1 else ()


def _count(element: ET.Element, cases: Sequence[ET.Element]) -> None:
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    element.set("errors", str(sum(case.find("error") is not None for case in cases)))
    if element.tag == "testsuite":
        element.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
        element.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")


def _class_name(file: str) -> str:
    return _legal(re.sub(r"\.ya?ml\b.*", "", file).replace("/", "."))


def _legal(text: str) -> str:
    """XML 1.0 has no word for most control characters: they are shown as their code."""
    return _ILLEGAL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)

"""Scenario files as pytest items, one for each case of the matrix; imported with the first such file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from harness.blame import Blame, first_cause
from harness.errors import BenchUnavailable, ScenarioError, UsageError
from harness.loader import load_file
from harness.plan import Plan, plan_of
from harness.selection import case_words

if TYPE_CHECKING:  # what plays and reports is imported when something is played
    from harness.dut.kinds import DutOrder
    from harness.events import ScenarioResult
    from harness.playing import Player
    from harness.pytest_target import TargetPlayer
    from harness.run_one import BenchKind

MARK: Final = "wakestorm"
TARGET: Final = "target"
"""The property of a test case with what was said of the target."""

_players: Final = pytest.StashKey["dict[tuple[str, str], Player]"]()


class NotPassed(Exception):
    """The scenario did not pass; the text is the whole report. `blame` says where to look first."""

    def __init__(self, report: str, blame: Blame | None = None) -> None:
        super().__init__(report)
        self.blame = blame


class ScenarioFile(pytest.File):
    """One YAML file."""

    def collect(self) -> Iterable[ScenarioItem]:
        """An item for each case. Raises CollectError with every mistake of the file."""
        try:
            loaded = load_file(shown_path(self.path))
        except (ScenarioError, UsageError) as error:
            raise self.CollectError(str(error)) from None
        for case in loaded.cases:
            with_macs = partial(plan_of, loaded, case, self.config.getoption("--wakestorm-seed"))
            name = case_words(case.id) or self.path.stem
            yield ScenarioItem.from_parent(self, name=name, with_macs=with_macs)


class ScenarioItem(pytest.Item):
    """One case. Its tags are its marks."""

    def __init__(self, *, with_macs: Callable[[Sequence[str]], Plan], **more: Any) -> None:
        super().__init__(**more)
        self.with_macs = with_macs
        self.plan = plan = with_macs(())
        self.add_marker(MARK)
        for tag in plan.tags:
            self.add_marker(mark_of(self.config, tag))
        self.extra_keyword_matches |= {*plan.tags, *plan.name.split()}
        said = (("scenario", plan.name), ("seed", str(plan.seed)), ("covers", " ".join(plan.covers)))
        self.user_properties += [(name, value) for name, value in said if value]

    def runtest(self) -> None:
        """Plays it. Raises NotPassed for everything that is no PASS; skips what this bench can't do."""
        from harness.verdict import Verdict

        bench: BenchKind = self.config.getoption("--wakestorm-bench")
        try:
            refuse_what_can_not_be(self.plan, bench)
        except ScenarioError as refused:
            pytest.skip(f"the {bench} bench with simulated cameras can't play it: {refused}")
        player: Player | TargetPlayer
        try:
            if bench == "external":
                player, result = self._at_target()
            else:
                player = player_of(self.config, bench)
                player.check([item.plan for item in self.session.items if isinstance(item, ScenarioItem)])
                result = player.play(self.plan).result
        except (ScenarioError, BenchUnavailable, UsageError) as error:
            raise NotPassed(str(error)) from None
        if result.verdict is not Verdict.PASS:
            if result.verdict is Verdict.ERROR:
                self.add_report_section("call", "errors.log of wakestorm", player.errors())
            blames = {Blame(failure.blame) for failure in result.failures if failure.blame}
            raise NotPassed("\n".join(report_lines(result)), first_cause(blames))

    def _at_target(self) -> tuple[TargetPlayer, ScenarioResult]:
        """Plays it before the target; what is said of its rows reaches the end of the run as a property."""
        from harness.pytest_target import NotAllowed, target_player

        player = target_player(self.config)
        said: list[str] = []
        try:
            return player, player.play(self.plan, self.with_macs, said.append).result
        except NotAllowed as refused:
            pytest.skip(f"the target does not allow it: {refused}")
        finally:
            self.user_properties += [(TARGET, line) for line in (*player.left_out(), *said)]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The report of the scenario, without a traceback of Python's."""
        if isinstance(excinfo.value, NotPassed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """What stands above the report."""
        case = case_words(self.plan.case)
        return self.path, 0, f"{self.plan.name} [{case}]" if case else self.plan.name


def refuse_what_can_not_be(plan: Plan, bench: BenchKind) -> None:
    """Raises ScenarioError for what this bench can't do with simulated cameras."""
    from harness.bench_refusals import faults_of, refuse_impossible
    from harness.dut.kinds import DutOrder, refuse_for_devices

    refuse_impossible([plan], faults_of(bench))
    refuse_for_devices([plan], DutOrder(), faults_of(bench))


def report_lines(result: ScenarioResult) -> list[str]:
    """What failed first in one line, for pytest's summary; then each failure as a paragraph."""
    from harness.report.words import failure_lines, place_text

    first = next(iter(result.failures), None)
    said = f"{first.title}, {place_text(result, first)}" if first is not None else "nothing was proved"
    lines = [f"{result.verdict.value} {said}", ""]
    for number, failure in enumerate(result.failures):
        lines += failure_lines(result, failure, result.failures[:number])
    return lines


def player_of(config: pytest.Config, bench: BenchKind, duts: DutOrder | None = None) -> Player:
    """The player of this process for that bench and those devices. Raises BenchUnavailable."""
    from harness.dut.kinds import DutOrder
    from harness.playing import Player
    from harness.pytest_cluster import cluster_of

    players = config.stash.setdefault(_players, {})
    key = (bench, duts.word if duts is not None else DutOrder().word)
    if key not in players:
        cluster = cluster_of(config)  # its end is booked before the player's, and so comes after it
        players[key] = Player(cluster, bench, duts)
        config.add_cleanup(players[key].close)
    return players[key]


def shown_path(file: Path) -> Path:
    """A file as messages and ids name it: below the working folder relative, else whole."""
    folder = Path.cwd()
    return file.relative_to(folder) if file.is_relative_to(folder) else file


def mark_of(config: pytest.Config, tag: str) -> str:
    """The mark of a tag, registered; `tag_<tag>` where a mark of that name takes arguments, such as skip or timeout."""
    registered: Sequence[str] = config.getini("markers")
    if any(line.split(":")[0].strip().startswith(f"{tag}(") for line in registered):
        tag = f"tag_{tag}"
    if not any(line.split(":")[0].split("(")[0].strip() == tag for line in registered):
        config.addinivalue_line("markers", f"{tag}: tag of wakestorm scenarios")
    return tag

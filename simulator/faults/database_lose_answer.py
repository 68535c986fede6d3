"""A request is carried out, and its answer is lost."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseAnswer(Fault):
    """The nth COMMIT (or other point) happens, and the connection is reset before the server knows."""

    at: str = "commit"
    nth: int = 1
    times: int = 1

    @property
    def only_embedded(self) -> str:
        is_next_commit = (self.at, self.nth, self.times) == ("commit", 1, 1)
        return "" if is_next_commit else "there only the answer of the next COMMIT can be lost"

    async def strike(self, levers: Levers) -> None:
        await levers.database.lose_answer_at(self.at, nth=self.nth, times=self.times)

    async def heal(self, levers: Levers) -> None:
        await levers.database.disarm()


FAULT = LoseAnswer
ROW = FaultRow(
    name="database_lose_answer",
    layer="database",
    does="A COMMIT (or another request) is carried out, and the connection reset before its answer.",
    example="steps: [{database: {do: lose_answer, nth: 3}}]",
    heals="at once: the server connects again",
    scenario="scenarios/faults/database-lose-answer.yaml",
    sign="step:database:lose_answer",
    source="DB: answer lost after COMMIT",
    settings=(
        Setting(
            name="at", unit="commit, request or words of SQL", default="commit", does="the answer to which request"
        ),
        Setting(name="nth", unit="count", default="1", does="which of these requests"),
        Setting(name="times", unit="count", default="1", does="how often"),
    ),
)

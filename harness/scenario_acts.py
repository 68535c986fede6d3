"""Steps that do something to server, broker, database or object store: one word, or a mapping with the word's settings.

The words and their settings are those of `simulator.faults`, beside start, restart, resume and heal.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.scenario_types import IDENTIFIER_PATTERN, Duration, Shorthand, Step, StrictModel
from harness.units import LanguageError
from simulator.step_faults import fault_class, settings_of

ServerWord = Literal["crash", "stop", "pause", "slow", "start", "restart", "resume", "heal"]
BrokerWord = Literal[
    "crash",
    "stop",
    "pause",
    "lose_sessions",
    "full_queue",
    "redeliver",
    "retained_junk",
    "takeover",
    "disconnect_storm",
    "start",
    "restart",
    "resume",
    "heal",
]
DatabaseWord = Literal[
    "crash",
    "stop",
    "pause",
    "kill_backends",
    "lose_answer",
    "deadlock",
    "serialization_failure",
    "lock_timeout",
    "disk_full",
    "too_many_connections",
    "read_only",
    "start",
    "restart",
    "resume",
    "heal",
]
StoreWord = Literal["full", "unreachable", "keeps", "slow", "heal"]


Point = Annotated[str, Field(min_length=2, max_length=120)]
"""A request of a server to the database: `now` (none), `commit`, `request` (any), or words of its SQL."""


class Act(StrictModel):
    """What every such step has."""

    for_ms: Duration | None = Field(None, alias="for", description="It is healed again after this long.")

    @property
    def settings(self) -> dict[str, Any]:
        """What was written beside `do` and `for`, by the names of the fault's own fields."""
        return {name: getattr(self, name) for name in sorted(self.model_fields_set - {"do", "for_ms"})}

    def check(self, target: str, do: str) -> None:
        """Raises LanguageError for a setting that the word does not have."""
        found = fault_class(target, do)
        if self.for_ms is not None and (found is None or not found.lasts):
            raise LanguageError(f"{do} takes no for", "it lasts no time: leave it out")
        known = {} if found is None else settings_of(found)
        for name in sorted(self.model_fields_set - {"do", "for_ms"}):
            if name not in known and not (name == "which" and target == "server"):
                hint = ", ".join(key.removesuffix("_ms") for key in known) or "no settings"
                raise LanguageError(f"{do} takes no {name.removesuffix('_ms')}", f"it takes {hint}")


class ServerAction(Act):
    """What happens to a server."""

    do: ServerWord = Field(
        description="crash: as by kill -9; stop: as by SIGTERM; pause: it hangs until resume; slow: what it hears and "
        "says takes longer; restart: stop and start; heal: what was done to it ends."
    )
    which: int | Literal["all"] = Field(0, description="Which server, counted from 0, or all.")
    by_ms: Duration = Field(2_000, alias="by", description="slow: how much longer, each way.")
    at: Point = Field("now", description="crash: at which request to the database, carried out and not yet answered.")
    nth: int = Field(1, ge=1, le=100_000, description="crash: the how-manieth of these requests.")

    @model_validator(mode="after")
    def _legal(self) -> ServerAction:
        self.check("server", self.do)
        return self


class BrokerAction(Act):
    """What happens to the broker."""

    do: BrokerWord = Field(
        description="As for the server; lose_sessions: it forgets its persistent sessions and what was queued in them; "
        "full_queue: a session holds few messages, the others are dropped; redeliver: what the servers have not "
        "acknowledged comes again; retained_junk: on every topic of every device; takeover: a stranger connects under "
        "a server's client id; disconnect_storm: it drops every connection, several times."
    )
    messages: int = Field(2, ge=0, le=100_000, description="full_queue: how many messages each session holds.")
    dup: bool = Field(True, description="redeliver: with the DUP flag, as the standard has it.")
    which: int = Field(0, ge=0, description="takeover: whose id, counted from 0.")
    times: int = Field(1, ge=1, le=1_000, description="takeover, disconnect_storm: how often.")
    every_ms: Duration = Field(1_000, alias="every", description="takeover, disconnect_storm: time between two.")

    @model_validator(mode="after")
    def _legal(self) -> BrokerAction:
        self.check("broker", self.do)
        return self


class DatabaseAction(Act):
    """What happens to the database, as the server sees it."""

    do: DatabaseWord = Field(
        description="crash: killed, every connection breaks and new ones are refused until start; stop: it lets nobody "
        "in; pause: it does not answer; kill_backends: pg_terminate_backend; lose_answer: a request is carried out and "
        "the connection reset before its answer; deadlock (40P01), serialization_failure (40001), lock_timeout "
        "(55P03): the next writes fail; disk_full (53100): every write fails; too_many_connections (53300); "
        "read_only (25006)."
    )
    at: Point = Field("now", description="kill_backends, lose_answer, deadlock and the like: at which request.")
    nth: int = Field(1, ge=1, le=100_000, description="With `at`: the how-manieth of these requests.")
    times: int = Field(1, ge=1, le=100_000, description="How often it strikes.")
    table: str = Field(
        "device_images", pattern=IDENTIFIER_PATTERN, description="deadlock and the like: writes to which table fail."
    )

    @model_validator(mode="after")
    def _legal(self) -> DatabaseAction:
        self.check("database", self.do)
        if self.do == "lose_answer" and "at" in self.model_fields_set and self.at == "now":
            raise LanguageError("an answer is lost at a request", "at: commit, request, or words of the SQL")
        return self


class StoreAction(Act):
    """What happens to the object store, as the servers see it."""

    do: StoreWord = Field(
        description="full: nothing more can be put; unreachable: whatever is asked of it fails; keeps: deletions fail; "
        "slow: whatever is asked of it takes longer."
    )
    by_ms: Duration = Field(5_000, alias="by", description="slow: how much longer.")

    @model_validator(mode="after")
    def _legal(self) -> StoreAction:
        self.check("store", self.do)
        return self


def _word(words: Any) -> Shorthand:
    return Shorthand("do", schema={"type": "string", "enum": list(words.__args__)})


class ServerStep(Step):
    """Does something to a server."""

    server: Annotated[ServerAction, _word(ServerWord)] = Field(description="One word, or a mapping.")


class BrokerStep(Step):
    """Does something to the broker."""

    broker: Annotated[BrokerAction, _word(BrokerWord)] = Field(description="One word, or a mapping.")


class DatabaseStep(Step):
    """Does something to the database."""

    database: Annotated[DatabaseAction, _word(DatabaseWord)] = Field(description="One word, or a mapping.")


class StoreStep(Step):
    """Does something to the object store."""

    store: Annotated[StoreAction, _word(StoreWord)] = Field(description="One word, or a mapping.")

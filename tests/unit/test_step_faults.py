"""Steps on server, broker and database: their words are the catalogue's, their settings the faults' own."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from harness.bench_refusals import refuse_impossible
from harness.errors import ScenarioError
from harness.plan import plans_of
from harness.plan_steps import ActOn
from harness.scenario_acts import BrokerWord, DatabaseWord, ServerWord
from simulator.faults import CATALOGUE
from simulator.step_faults import HEALING, fault_class, new_fault, settings_of, words_of
from tests.support.scenario_texts import loaded, with_steps

WORDS = {"server": ServerWord, "broker": BrokerWord, "database": DatabaseWord}


def act(step: str) -> ActOn:
    planned = plans_of(loaded(with_steps(step)))[0].steps[0]
    assert isinstance(planned, ActOn)
    return planned


@pytest.mark.parametrize("target", WORDS)
def test_the_words_of_the_language_are_the_catalogues(target: str) -> None:
    assert sorted(get_args(WORDS[target])) == sorted(words_of(target))


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name.split("_")[0] in WORDS])
def test_settings_of_the_row_are_fields_of_the_fault(name: str) -> None:
    from simulator.catalogue import row_named

    target, _, do = name.partition("_")
    found = fault_class(target, do)
    assert found is not None
    fields = {field.removesuffix("_ms"): default for field, default in settings_of(found).items()}
    assert {setting.name for setting in row_named(name).settings} == set(fields)


@pytest.mark.parametrize(
    ("step", "settings"),
    [
        ("- server: {do: slow, by: 3s, which: all}", {"by_ms": 3000}),
        ("- broker: {do: takeover, times: 3, every: 2s}", {"times": 3, "every_ms": 2000}),
        ("- broker: {do: redeliver, dup: false}", {"dup": False}),
        ("- database: {do: lose_answer, nth: 4}", {"nth": 4}),
        ("- database: {do: deadlock, table: devices, times: 2}", {"table": "devices", "times": 2}),
        ("- database: heal", {}),
    ],
)
def test_a_step_becomes_a_fault(step: str, settings: dict[str, Any]) -> None:
    planned = act(step)
    assert planned.settings == settings
    fault = new_fault(planned.target, planned.do, planned.settings)
    assert (fault is None) == (planned.do in HEALING)
    assert all(getattr(fault, name) == value for name, value in settings.items())


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("- broker: {do: crash, times: 3}", "crash takes no times"),
        ("- database: {do: disk_full, table: devices}", "disk_full takes no table"),
        ("- database: {do: resume, for: 3s}", "resume takes no for"),
        ("- broker: {do: takeover, for: 3s}", "takeover takes no for"),
        ("- database: {do: lose_answer, at: now}", "an answer is lost at a request"),
        ("- server: {do: crash, by: 3s}", "crash takes no by"),
    ],
)
def test_settings_that_a_word_does_not_have_are_mistakes(step: str, reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        loaded(with_steps(step))


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("- broker: {do: full_queue, messages: 3}", "a real broker has its queue limit from its start on"),
        ("- broker: disconnect_storm", "no real broker drops its connections when told"),
        ("- database: {do: kill_backends, at: commit}", "only the embedded bench sees the single requests"),
        ("- database: {do: lose_answer, nth: 2}", "only the answer of the next COMMIT"),
        ("- server: {do: crash, at: request, nth: 5}", "only the embedded bench sees the single requests"),
    ],
)
def test_a_bench_refuses_what_it_can_not_do(step: str, reason: str) -> None:
    plans = plans_of(loaded(with_steps(step)))
    refuse_impossible(plans, "embedded")
    with pytest.raises(ScenarioError, match=reason) as refused:
        refuse_impossible(plans, "processes")
    assert refused.value.mistakes[0].line > 1 and refused.value.mistakes[0].path.startswith("steps[0].")


def test_a_bench_takes_what_it_can_do() -> None:
    for step in ("- database: crash", "- database: kill_backends", "- database: lose_answer", "- broker: takeover"):
        refuse_impossible(plans_of(loaded(with_steps(step))), "processes")


def test_a_bench_refuses_faults_of_devices_and_lines_too() -> None:
    faults = "faults: [{who: yard, at: device, do: card_full}, {who: yard, at: hello.sent, do: crash}]"
    plans = plans_of(loaded(with_steps(f"- wake: yard\n  {faults}")))
    refuse_impossible(plans, "processes")
    with pytest.raises(ScenarioError) as refused:
        refuse_impossible(plans, "board")
    first, second = refused.value.mistakes
    assert first.path == "steps[0].faults[0].do"
    assert "card_full is not to be had in the board bench: is inside the chip" in first.reason
    assert second.path == "steps[0].faults[1].do"

"""The generated papers of the language: valid, current, and no stricter than the loader."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from harness import scenario_reference, scenario_schema
from harness.loader import discover
from harness.scenario import Scenario, step_kind
from harness.scenario_examples import MATRIX, STEPS, WHOLE
from harness.scenario_steps import STEP_MODELS
from harness.yaml_reader import read_yaml
from tests.support.scenario_texts import DESIGN_EXAMPLE, EVERYTHING, HEADER, loaded, with_steps

STEP_TEXTS = {kind: with_steps(text) for kind, text in STEPS.items()}
VALID = {"design": DESIGN_EXAMPLE, "everything": EVERYTHING, "whole": WHOLE, "matrix": MATRIX, **STEP_TEXTS}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    schema = scenario_schema.scenario_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def tree_of(text: str) -> Any:
    tree = read_yaml(text.encode(), "case.yaml")
    assert not tree.mistakes
    return tree.value


@pytest.mark.parametrize("name", VALID)
def test_what_the_loader_takes_the_schema_takes(name: str, validator: jsonschema.Draft7Validator) -> None:
    loaded(VALID[name])
    assert [error.message for error in validator.iter_errors(tree_of(VALID[name]))] == []


@pytest.mark.parametrize(
    "text",
    [
        "version: 2\nname: abc\nsteps: [{advance: 1s}]",
        "version: 1\nname: abc\nsteps: []",
        HEADER + "steps: [{wakee: yard}]",
        HEADER + "steps: [{wake: yard, advance: 1s}]",
        HEADER + "steps: [{advance: 3}]",
        HEADER + "steps: [{advance: 3 h}]",
        HEADER + "steps: [{wake: yard, faults: [{who: yard, at: hello.received, do: cut}]}]",
        HEADER + "steps: [{wake: yard, faults: [{who: yard, at: hello.sent, do: loose}]}]",
        HEADER + "steps: [{server: crush}]",
        HEADER + "steps: [{expect: {rows: {table: devices, count: -1}}}]",
        HEADER + "steps: [{wake: Yard}]",
        HEADER + "steps: [{wake: yard}]\nseeed: 1",
        "version: 1\nname: abc\ndevices: {Yard: {}}\nsteps: [{advance: 1s}]",
        "version: 1\nname: abc\ndevices: {yard: {image: {size: 10}}}\nsteps: [{advance: 1s}]",
    ],
)
def test_what_an_editor_should_underline(text: str, validator: jsonschema.Draft7Validator) -> None:
    assert list(validator.iter_errors(tree_of(text)))


def test_yaml_readers_of_other_makers_agree_on_the_example() -> None:
    assert yaml.safe_load(DESIGN_EXAMPLE) == tree_of(DESIGN_EXAMPLE)


def test_the_written_papers_are_current() -> None:
    assert scenario_schema.SCHEMA_PATH.read_text(encoding="utf-8") == scenario_schema.rendered()
    assert scenario_reference.REFERENCE_PATH.read_text(encoding="utf-8") == scenario_reference.rendered()


def test_check_says_when_a_paper_is_old(capsys: pytest.CaptureFixture[str]) -> None:
    assert scenario_schema.main(["--check"]) == 0
    assert scenario_schema.write_or_check(scenario_schema.SCHEMA_PATH, "old", ["--check"]) == 1
    assert "run make generate" in capsys.readouterr().err


def test_the_schema_is_draft_seven_only() -> None:
    text = scenario_schema.rendered()
    for word in ("$defs", "prefixItems", "discriminator", '"null"', "<wake>"):
        assert word not in text


def test_every_key_has_a_description() -> None:
    def undescribed(schema: dict[str, Any], name: str) -> list[str]:
        return [f"{name}.{key}" for key, part in schema.get("properties", {}).items() if not part.get("description")]

    schema = scenario_schema.scenario_schema()
    missing = undescribed(schema, "file")
    for name, definition in schema["definitions"].items():
        missing += undescribed(definition, name)
        if not definition.get("description"):
            missing.append(name)
    assert missing == []


def test_every_kind_of_step_has_an_example_and_a_tag() -> None:
    assert set(STEPS) == set(STEP_MODELS)
    for kind in STEP_MODELS:
        assert step_kind({kind: None}) == f"<{kind}>"
    steps = Scenario.model_validate(tree_of(STEP_TEXTS["server"])).steps
    assert {step_kind(step) for step in steps} == {"<server>"}


def test_the_reference_names_every_key() -> None:
    page = scenario_reference.rendered()
    schema = scenario_schema.scenario_schema()
    for definition in [schema, *schema["definitions"].values()]:
        for key in definition.get("properties", {}):
            assert f"| `{key}` |" in page or key == "note"


def test_editors_underline_nothing_in_the_shipped_scenarios(validator: jsonschema.Draft7Validator) -> None:
    files = discover([scenario_schema.ROOT / "scenarios"])
    assert len(files) > 100
    wrong = {file.name: error.message for file in files for error in validator.iter_errors(tree_of(file.read_text()))}
    assert wrong == {}

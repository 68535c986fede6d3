"""`wakestorm explain` and `profiles`: every key can be asked for, in every way in which an author may write it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli_explain import explain_command
from harness.cli_profiles import profiles_command
from harness.errors import UsageError
from harness.loader import discover
from harness.scenario_keys import Key, KeyTree, wanted_path
from harness.scenario_schema import scenario_schema
from harness.scenario_sightings import LINES_MAX, sighting
from harness.scenario_steps import STEP_MODELS
from harness.yaml_reader import read_yaml
from simulator.faults import CATALOGUE
from simulator.profile import BASES, MISBEHAVIOURS, PROFILES, profile_named

TREE = KeyTree()
FILES = discover([Path(__file__).parent.parent.parent / "scenarios"])
SCREEN_COLUMNS = 80


def test_every_key_of_the_models_can_be_asked_for() -> None:
    schema = scenario_schema()
    for name, definition in schema["definitions"].items():
        for key, part in definition.get("properties", {}).items():
            meant = [found for found in TREE.find(key, exact=False) if part["description"] in found.meaning]
            assert meant or key in STEP_MODELS, (name, key)
    for kind, model in STEP_MODELS.items():
        (step,) = TREE.find(kind)
        assert step.meaning == " ".join((model.__doc__ or "").split())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("expect.rows", "expect.rows"),
        ("steps[0].faults[0].who", "wake.faults.who"),
        ("steps[3].expect.rows.are[0]", "expect.rows.are"),
        ("devices.yard.image.size", "devices.image.size"),
        ("image.size", "devices.image.size"),
        ("power_loss.for", "wake.faults.do.power_loss.for"),
        ("wake:", "wake"),
        ("devices.wake", "devices.wake"),
        ("note", "wake.note"),
    ],
)
def test_a_key_is_found_however_it_is_written(text: str, name: str) -> None:
    assert [key.name for key in TREE.find(text)] == [name]


def test_every_path_of_every_scenario_leads_to_its_key() -> None:
    paths = {path for file in FILES for path in read_yaml(file.read_bytes(), str(file)).lines if path}
    words = {wanted_path(path) for path in paths}
    assert len(words) > 100
    assert not [
        path for path in words if not (path[0] == "devices" and len(path) == 2) and not TREE.find(".".join(path))
    ]


def test_a_word_with_several_meanings_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    explain_command("size", as_json=False)
    said = capsys.readouterr().out
    assert "devices.image.size" in said and "upload.size" in said


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("devices.yard.profil", "did you mean devices.profile?"),
        ("expect.row", "expect.rows"),
        ("no_lost_image", "it is a check"),
        ("stale_session", "lists the keys"),
        ("device_images", "it is a table"),
        ("esp32s3-cam@3.5.0", "wakestorm profiles esp32s3-cam@3.5.0"),
        ("", "lists the keys"),
    ],
)
def test_a_key_that_is_none_names_what_may_be_meant(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        explain_command(text, as_json=False)
    assert hint in str(raised.value)


def test_no_line_is_wider_than_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for key in [None, "expect", "wake", "at", "do", "size", "devices", "server"]:
        explain_command(key, as_json=False)
    for profile in (None, *PROFILES):
        profiles_command(profile, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if len(line) > SCREEN_COLUMNS and "{" not in line]  # YAML is shown as it stands


def examples() -> list[Key]:
    """What shipped scenarios use: everything but a few kinds that need a board, or code of the user's own."""
    keys = [*TREE.top(), *(TREE.keys[kind,] for kind in STEP_MODELS)]
    return [key for key in keys if key.name not in ("flash", "console", "hook", "description")]


@pytest.mark.parametrize("key", examples(), ids=lambda key: key.name)
def test_examples_come_from_real_files_and_show_the_key(key: Key) -> None:
    found = sighting(key, FILES)
    assert found is not None
    shown = "\n".join(found.lines)
    assert f"{key.path[-1]}:" in shown
    assert f"{key.path[-1]}:" in found.file.read_text().splitlines()[found.line - 1]
    assert key.name in ("steps", "devices", "matrix", "waive") or len(found.lines) <= LINES_MAX


def test_json_names_every_key_once(capsys: pytest.CaptureFixture[str]) -> None:
    explain_command(None, as_json=True)
    names = [json.loads(line)["key"] for line in capsys.readouterr().out.splitlines()]
    assert len(names) == len(set(names)) == len(TREE.keys)


def test_a_fault_leads_to_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert "power_loss" in CATALOGUE
    explain_command("power_loss", as_json=False)
    assert "wakestorm faults power_loss" in capsys.readouterr().out


def test_profiles_are_those_of_the_simulator(capsys: pytest.CaptureFixture[str]) -> None:
    profiles_command(None, as_json=True)
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in listed] == list(PROFILES)
    profiles_command(None, as_json=False)
    table = capsys.readouterr().out
    assert all(name in table for name in [*BASES, *(f"+{word}" for word in MISBEHAVIOURS)])


def test_a_profile_shows_what_is_special(capsys: pytest.CaptureFixture[str]) -> None:
    profiles_command("esp32s3-cam@2025.10+ignores-next-wake", as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.lstrip().startswith("*")] == [["*", "ignores_next_wake", "yes"]]
    assert profile_named("esp32s3-cam@2025.10").dialect in "\n".join(lines)
    with pytest.raises(UsageError, match=r"did you mean 'esp32s3-cam@3\.5\.0'"):
        profiles_command("esp32s3-cam@3.5", as_json=False)

"""The loader: every mistake at once, each with its line; and no text, however hostile, costs more than a moment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import Mistake, ScenarioError, UsageError
from harness.loader import discover, load_bytes, load_file, load_files, selected
from harness.yaml_reader import DEPTH_MAX, NODES_MAX, read_yaml
from tests.support.scenario_texts import DESIGN_EXAMPLE, EVERYTHING, loaded, with_steps


def mistakes_in(text: str | bytes) -> tuple[Mistake, ...]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ScenarioError) as caught:
        load_bytes(data, Path("case.yaml"))
    assert caught.value.exit_code == 64
    return caught.value.mistakes


def only(text: str | bytes) -> Mistake:
    found = mistakes_in(text)
    assert len(found) == 1, [str(mistake) for mistake in found]
    return found[0]


def test_the_designs_example_is_valid_to_the_letter() -> None:
    scenario = loaded(DESIGN_EXAMPLE)
    assert scenario.model.seed == 4211
    assert len(scenario.cases) == 1
    assert scenario.lines["steps[0].faults[1].at"] == 13


def test_every_key_of_the_language_loads_in_every_case() -> None:
    scenario = loaded(EVERYTHING)
    assert [case.id for case in scenario.cases][:2] == ["[k=0,how=cut,a=1,b=x]", "[k=0,how=cut,a=2,b=y]"]
    assert len(scenario.cases) == 8


def test_all_mistakes_come_at_once_with_line_path_and_hint() -> None:
    text = """\
version: 1
name: A bad one
seeed: 3
devices:
  yard: {count: 3, image: {size: 10000}}
steps:
  - wake: yrd
  - wakee: yard
  - wake: yard
    faults:
      - {who: yard, at: "chnk[5].sent", do: cut}
  - expect: {rows: {table: device_imagess, count: 1}}
  - advance: no
"""
    assert [str(mistake) for mistake in mistakes_in(text)] == [
        "case.yaml:3: seeed: unknown key 'seeed' (did you mean seed?)",
        "case.yaml:5: devices.yard.image.size: 10000 has no unit (write 10000B, 10000kB or 10000KiB)",
        "case.yaml:7: steps[0].wake: no devices are called 'yrd' (did you mean yard?)",
        "case.yaml:8: steps[1]: no kind of step is called 'wakee' (did you mean wake?)",
        "case.yaml:11: steps[2].faults[0].at: no message is called 'chnk' (did you mean chunk?)",
        "case.yaml:12: steps[3].expect.rows.table: no table is called 'device_imagess' (did you mean device_images?)",
        'case.yaml:13: steps[4].advance: no is true or false to some readers (write true, false or "no")',
    ]


def test_a_mistake_of_one_case_names_the_case() -> None:
    text = (
        with_steps('- wake: yard\n  faults: [{who: yard, at: hello.sent, do: "${how}"}]')
        + "matrix: {how: [cut, loose]}\n"
    )
    assert str(only(text)) == (
        "case.yaml:6: steps[0].faults[0].do: no fault is called 'loose' (did you mean lose?; in case [how=loose])"
    )


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("version: 1\nversion: 1\n", 2, "stands twice"),
        ("a: &x 1\nb: *x\n", 2, "alias"),
        ("a: &x 1\n", 1, "anchor"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "tag"),
        ("a: !custom 1\n", 1, "tag"),
        ("a:\n  <<: {x: 1}\n", 2, "merge key"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: yes\n", 1, "true or false to some readers"),
        ("a: Off\n", 1, "true or false to some readers"),
        ("a: 12:30\n", 1, "number to some readers"),
        ("a: 12:30:45\n", 1, "number to some readers"),
        ("a: 010\n", 1, "number to some readers"),
        ("a: 0x1F\n", 1, "number to some readers"),
        ("a: 0b11\n", 1, "number to some readers"),
        ("a: 1_000\n", 1, "number to some readers"),
        ("a: 12E456789012\n", 1, "number to some readers"),
        ("a: .inf\n", 1, "number to some readers"),
        ("a: .nan\n", 1, "number to some readers"),
        (f"a: {'1' * 4301}\n", 1, "digits is too large"),
        (f"a: 1.{'1' * 4301}\n", 1, "too large a number"),
        ("? [a, b]\n: 1\n", 1, "a key must be plain text"),
        ("a: {b: ${c}}\n", 1, "is not YAML"),
        ("a: [1, 2\n", 2, "is not YAML"),
        ("a:\n\t- b\n", 2, "is not YAML"),
        ("a: 'x\n", 2, "is not YAML"),
        ("", 1, "empty"),
        ("# nothing\n", 1, "empty"),
        ("null\n", 1, "empty"),
        ("- 1\n", 1, "a scenario is a mapping"),
        ("just text\n", 1, "a scenario is a mapping"),
        (b"a: \xff\n", 1, "not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "not UTF-8"),
        (b"a: \x00\n", 1, "is not YAML"),
        (b"a: \x07\n", 1, "is not YAML"),
    ],
)
def test_what_yaml_must_not_say(text: str | bytes, line: int, reason: str) -> None:
    found = [mistake for mistake in mistakes_in(text) if reason in mistake.reason]
    assert found, [str(mistake) for mistake in mistakes_in(text)]
    assert found[0].line == line


@pytest.mark.slow
def test_bombs_are_refused_within_a_moment_and_64_megabytes() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "harness.hostile.yaml_bombs"], capture_output=True, text=True, timeout=120, check=False
    )
    assert child.returncode == 0, child.stderr
    outcomes = json.loads(child.stdout)
    assert len(outcomes) >= 30
    for name, outcome in outcomes.items():
        assert outcome["mistakes"] > 0, name
        assert outcome["cpu_s"] < 1, f"{name}: an idle core needs a tenth"


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=400) | st.text(alphabet="ab:-[]{}&*!|>?%@#'\"\n\t ,<0159_.~${}", max_size=300).map(str.encode)
)
def test_no_text_makes_the_loader_fail_otherwise(data: bytes) -> None:
    try:
        load_bytes(data, Path("case.yaml"))
    except ScenarioError as error:
        assert error.mistakes
        assert str(error)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab: -[]{}'\"\n,123", max_size=200))
def test_a_text_that_reads_gives_every_value_a_line_inside_the_text(text: str) -> None:
    tree = read_yaml(text.encode(), "case.yaml")
    last = len(text.splitlines()) + 1
    assert all(1 <= line <= last for line in tree.lines.values())
    assert all(1 <= mistake.line <= last for mistake in tree.mistakes)


def test_values_keep_their_types() -> None:
    text = "a: [1, -2, 1.5, true, False, null, ~, '1', \"no\", 5:30PM, 2026-01-05T00:00:00Z, y, 0]"
    tree = read_yaml(text.encode(), "case.yaml")
    assert not tree.mistakes
    expected = [1, -2, 1.5, True, False, None, None, "1", "no", "5:30PM", "2026-01-05T00:00:00Z", "y", 0]
    assert tree.value == {"a": expected}
    assert [type(value) for value in tree.value["a"]] == [type(value) for value in expected]


def test_just_as_many_values_as_allowed_are_read() -> None:
    count = NODES_MAX - 2
    tree = read_yaml(b"[" + b"1," * count + b"1]", "case.yaml")
    assert not tree.mistakes
    assert len(tree.value) == count + 1


def test_twenty_levels_are_read_and_one_more_is_not() -> None:
    assert not read_yaml(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, "case.yaml").mistakes
    tree = read_yaml(b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "case.yaml")
    assert [mistake.reason for mistake in tree.mistakes] == [f"nested deeper than {DEPTH_MAX} levels"]
    assert not tree.whole


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert load_bytes(b"\xef\xbb\xbf" + DESIGN_EXAMPLE.encode(), Path("case.yaml")).model.seed == 4211


def test_a_place_in_braces_without_quotes_gets_its_own_hint() -> None:
    text = "version: 1\nname: abc\nsteps:\n  - expect: {log: {contains: [a ${k}]}}\n"
    assert any("in quotes" in (mistake.hint or "") for mistake in mistakes_in(text))


def test_files_are_found_sorted_and_once(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "deep/c.yaml", "x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(DESIGN_EXAMPLE)
    found = discover([tmp_path / "b.yaml", tmp_path])
    assert [path.name for path in found] == ["b.yaml", "a.yml", "c.yaml"]
    assert len(load_files(found)) == 3


def test_paths_that_are_not_there_are_usage_errors(tmp_path: Path) -> None:
    for call in (lambda: discover([tmp_path / "no"]), lambda: discover([tmp_path]), lambda: load_file(tmp_path / "no")):
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.exit_code == 64


def test_mistakes_of_many_files_come_together(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("version: 2\nname: abc\nsteps: [{advance: 1s}]\n")
    with pytest.raises(ScenarioError) as caught:
        load_files(discover([tmp_path]))
    assert [Path(mistake.file).name for mistake in caught.value.mistakes] == ["a.yaml", "b.yaml"]


def test_tags_select_and_refuse() -> None:
    smoke = loaded(with_steps("- wake: yard") + "tags: [smoke, slow]\n")
    plain = loaded(with_steps("- wake: yard"))
    assert selected([smoke, plain], []) == [smoke, plain]
    assert selected([smoke, plain], ["smoke"]) == [smoke]
    assert selected([smoke, plain], ["!slow"]) == [plain]
    assert selected([smoke, plain], ["smoke", "!slow"]) == []


@pytest.mark.parametrize(
    ("before", "after", "hint"),
    [
        ("  - wake: yard", "\t- wake: yard", "indent with spaces, not tabs"),
        ("    count: 2", "   count: 2", "this line is indented by 3 spaces, the lines above by 2 or 4"),
        ('{who: "yard[0]"', "{who: yard[0]", 'inside { } put "yard[0]" in quotes'),
        ("name: abc", "name: abc: def", "a text with a colon in it needs quotes, after name: here"),
    ],
)
def test_a_text_that_is_not_yaml_says_what_is_probably_meant(before: str, after: str, hint: str) -> None:
    text = "version: 1\nname: abc\ndevices:\n  yard:\n    image: {size: 2kB}\n    count: 2\nsteps:\n  - wake: yard\n"
    text += '    faults: [{who: "yard[0]", at: hello.sent, do: cut}]\n'
    load_bytes(text.encode(), Path("case.yaml"))
    assert text.count(before) == 1
    with pytest.raises(ScenarioError) as raised:
        load_bytes(text.replace(before, after).encode(), Path("case.yaml"))
    (mistake,) = raised.value.mistakes
    assert mistake.hint == hint
    assert after in text.replace(before, after).splitlines()[mistake.line - 1]

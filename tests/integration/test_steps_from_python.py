"""`bench.open`: a scenario whose steps come from Python, one by one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError

PAGE = Path(__file__).parents[2] / "docs" / "pytest.md"
YARD = "devices: {yard: {wake: {every: 3h}, image: {size: 2kB, chunk: 1kB}}}"


def without_header(history: str) -> str:
    return history.partition("\n")[2]


def test_the_example_of_the_page(bench: Any) -> None:
    """It plays, and the file that it would have been has the same history, byte for byte."""
    section = PAGE.read_text(encoding="utf-8").partition("### Step by step")[2]
    [code] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    opened: list[Any] = []

    class Watching:
        def open(self, *args: Any, **more: Any) -> Any:
            opened.append(bench.open(*args, **more))
            return opened[-1]

    names["test_photo_comes_whole"](Watching())
    [stepped] = opened
    [whole] = bench.run(stepped.text, seed=7)
    assert without_header(whole.history_jsonl) == without_header(stepped.ended.history_jsonl)
    assert stepped.text.count("advance") == 2


def test_what_does_not_hold_is_told_with_its_rows_and_ends_the_steps(bench: Any) -> None:
    story = r"(?s)expected  2 rows.*image_1\.jpg.*wakes, number 1"
    with pytest.raises(AssertionError, match=story) as caught, bench.open(YARD) as cameras:
        cameras.wake("yard")
        cameras.expect(rows={"table": "device_images", "count": 2})
    assert '- {"wake": "yard"}' in str(caught.value)
    with pytest.raises(UsageError, match="does no more"):
        cameras.advance("1s")
    bench.run(cameras.text.replace('"count": 2', '"count": 1'))  # the bench is free again


def test_what_shall_never_be_is_watched_to_the_end(bench: Any) -> None:
    with pytest.raises(AssertionError, match="it did happen"), bench.open(YARD) as cameras:
        cameras.expect(never=True, rows={"table": "device_images", "count": 1})
        cameras.wake("yard")


def test_mistakes_name_the_key_and_change_nothing(bench: Any) -> None:
    with bench.open({"devices": {"yard": {}}}) as cameras:
        with pytest.raises(UsageError, match=r"steps\[0\]\.wake: no devices are called 'yrd' \(did you mean yard"):
            cameras.wake("yrd")
        with pytest.raises(ValueError, match=r"is not a SELECT \("):
            cameras.rows("DELETE FROM devices")
        with pytest.raises(UsageError, match="the bench is in use"):
            bench.run("version: 1\nname: Another\ndevices: {gate: {}}\nsteps: [{wake: gate}]\n")
        cameras.wake("yard")
    with pytest.raises(UsageError, match="without steps"):
        bench.open("steps: [{wake: yard}]")

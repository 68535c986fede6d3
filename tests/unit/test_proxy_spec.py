"""Faults of a line as words of a command line."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.proxy_spec import LineFault, parse_line_fault
from simulator.fault import fault_named


@pytest.mark.parametrize(
    ("text", "name", "settings", "when"),
    [
        ("rst", "rst", {}, (0, None, None)),
        ("latency=200ms,jitter=50ms", "latency", {"delay_ms": 200, "jitter_ms": 50}, (0, None, None)),
        ("cut_after=4kB,way=down", "cut_after", {"after_bytes": 4_000, "way": "down"}, (0, None, None)),
        ("bandwidth,rate=2kB", "bandwidth", {"rate_bytes_per_s": 2_000}, (0, None, None)),
        ("corrupt_bytes,after=9B,flip=2", "corrupt_bytes", {"after_bytes": 9, "flip": 2}, (0, None, None)),
        ("blackhole,from=10s,for=30s,every=5m", "blackhole", {}, (10_000, 30_000, 300_000)),
    ],
)
def test_words_mean_a_fault_and_its_times(
    text: str, name: str, settings: dict[str, object], when: tuple[int, int | None, int | None]
) -> None:
    from_ms, for_ms, every_ms = when
    fault = fault_named(name, **settings)
    assert parse_line_fault(text) == LineFault(
        name=name, fault=fault, from_ms=from_ms, for_ms=for_ms, every_ms=every_ms
    )


def test_what_strikes_once_does_so_unless_it_is_told_how_long() -> None:
    assert parse_line_fault("rst").once
    assert not parse_line_fault("rst,for=3s").once
    assert not parse_line_fault("blackhole").once


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("latenc=3s", "no fault of the line is called 'latenc'", "did you mean latency?"),
        ("xyzzy", "no fault of the line is called 'xyzzy'", "one of"),
        ("latency", "delay: is required", "wakestorm faults latency"),
        ("latency=200", "delay: 200 has no unit", "write 200s"),
        ("latency=1s,jiter=1s", "latency has no 'jiter'", "did you mean jitter?"),
        ("latency=1s,delay=2s", "'delay=2s' is not SETTING=VALUE", "wakestorm faults latency"),
        ("rst=3", "rst has no settings", "write --fault rst"),
        ("one_way_loss=sideways", "way", "up"),
        ("blackhole,for=0s", "for is nothing", "for example 30s"),
        ("blackhole,for=5m,every=5m", "every is not above for", "end before it begins again"),
        ("corrupt_bytes=9", "flip: must be at most 8", "wakestorm faults corrupt_bytes"),
    ],
)
def test_mistakes_say_what_is_allowed(text: str, reason: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_line_fault(text)
    assert f"--fault {text}: " in str(raised.value)
    assert reason in str(raised.value)
    assert hint in (raised.value.hint or "")

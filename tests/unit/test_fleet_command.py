"""The command line of fleets and benchmarks: what is refused, before anything is started, and with which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.benchmarks.report import BenchReport, Machine, as_json, measured, saved_report, shown
from harness.cli import exit_code_of
from harness.fleet import limits


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--wake-every", "5"], ["--wake-every 5", "5m"]),
        (["--for", "1 hour"], ["--for 1 hour", "1h30m"]),
        (["--wake-every", "10ms"], ["at least 1000 ms"]),
        (["--profile", "esp32s3-cam@3.5.1"], ["--profile", "did you mean 'esp32s3-cam@3.5.0'"]),
        (["--profile", "esp32s3-cam@3.5.0+jpeg-without-soi"], ["whole photos only"]),
        (["--image", "100B"], ["--image 100B", "at least"]),
        (["--broker", "nanomq"], ["no such kind", "mqtt://host:port"]),
        (["--broker", "mqtt://127.0.0.1"], ["needs --database-url"]),
        (["--broker", "amqp://h", "--database-url", "postgresql://h/d"], ["not a broker's address"]),
        (["--database-url", "postgresql://h/d"], ["runs already", "--broker mqtt://host:1883"]),
        (["--fault", "powerloss"], ["--fault powerloss: no such fault", "did you mean power_loss?"]),
        (["--fault", "cut=200%"], ["'200%' is no share of wakes", "cut=10%"]),
        (["--shard", "5/4"], ["--shard 5/4", "2/4"]),
        (["--devices", "20000", "--at-once", "20000"], ["iotcore takes 10,000", "--broker mosquitto"]),
    ],
)
def test_what_can_not_be_is_refused_in_words(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "files_allowed", lambda: 1_000_000)
    assert exit_code_of(["fleet", *arguments]) == 64
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == []


def test_too_few_open_files_are_refused_with_the_fix(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "files_allowed", lambda: 1_024)
    assert exit_code_of(["fleet", "--devices", "2000"]) == 64
    said = capsys.readouterr().err
    assert "2,000 cameras awake at once" in said and "1,024 are allowed" in said
    assert "ulimit -n 2264" in said and "--at-once 760" in said


def test_source_addresses_follow_ports_and_stay_on_loopback() -> None:
    assert limits.source_hosts("127.0.0.1", 2_000, 10) == ()
    assert limits.source_hosts("127.0.0.1", 45_000, 0) == ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    assert limits.source_hosts("localhost", 0, 1_000) == ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    assert limits.source_hosts("192.168.1.5", 45_000, 1_000) == ()


def report_of(value: float, bench: str = "device") -> BenchReport:
    machine = Machine(
        processor="a chip",
        cores=2,
        memory_gb=8,
        kernel="6",
        architecture="x86_64",
        python="3.11.7",
        wakestorm="0",
        load=0.5,
        sha256_mb_per_cpu_s=1_000,
    )
    figures = [
        measured("raw: cycles", "per CPU second", [value, value * 2, value * 9], aim=5_000),
        measured("raw: CPU", "us/message", [value], is_better="lower"),
    ]
    return BenchReport(bench=bench, machine=machine, settings={}, measurements=figures)


def test_a_report_is_compared_with_a_saved_one_as_ratios(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    path.write_text(as_json(report_of(100)))
    assert json.loads(path.read_text())["measurements"][0]["median"] == 200
    lines = "\n".join(shown(report_of(150), saved_report(path)))
    assert "x1.50 of 200 (better)" in lines
    assert "x1.50 of 100 (worse)" in lines
    assert "300" in lines and "aim 5,000" in lines and "(150 to 1,350)" in lines


@pytest.mark.parametrize("content", ["{}", "no json", None])
def test_a_report_that_is_none_is_refused_before_anything_is_measured(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "saved.json"
    if content is not None:
        path.write_text(content)
    assert exit_code_of(["bench", "device", "--compare", str(path)]) == 64
    assert f"--compare {path}" in capsys.readouterr().err


def test_a_report_of_another_bench_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "saved.json"
    path.write_text(as_json(report_of(1, "ingest")))
    assert exit_code_of(["bench", "device", "--compare", str(path)]) == 64
    assert "a report of `bench ingest`" in capsys.readouterr().err


def test_merge_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["merge", str(tmp_path), "--out", str(tmp_path / "out")]) == 64
    assert "no finished run" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--target", "target.toml"], ["--bench", "external"]])
def test_a_soak_before_a_target_is_refused_with_what_does_instead(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(["soak", *words]) == 64
    said = capsys.readouterr().err
    assert said.startswith(f"wakestorm: {' '.join(words)}: a soak needs a bench that it may break")
    assert "`wakestorm fleet --bench external --target FILE" in said

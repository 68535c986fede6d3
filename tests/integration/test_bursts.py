"""Firmware that sends several chunks without waiting for the broker, in the embedded bench."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bench.postgres import Cluster
from harness.verdict import Verdict
from tests.support.scenario_runs import plans, played

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("file", ["chunks/every-chunk-is-lost-once.yaml", "resume/server-crashes-in-a-transfer.yaml"])
def test_a_burst_is_sent_whole_and_every_photo_arrives(file: str, cluster: Cluster, tmp_path: Path) -> None:
    plan = plans(file)[0]
    devices = tuple(
        replace(device, traits={**device.traits, "chunk_spacing_ms": 20, "burst_chunks": 4}) for device in plan.devices
    )
    ended = played(replace(plan, devices=devices), cluster, tmp_path)
    assert ended.result.verdict is Verdict.PASS, ended.result.failures
    lines = [json.loads(line) for line in ended.history_jsonl.splitlines()]
    sent = [(line["who"], line["t_ms"]) for line in lines if line["kind"] == "message" and line["direction"] == "up"]
    assert max(map(sent.count, sent)) >= 4, "four left at one instant"

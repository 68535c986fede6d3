"""Scenario texts for tests: the design's own example, to the letter, and one file that uses every key."""

# ruff: noqa: E501 (scenario texts are lines of YAML)

from pathlib import Path

from harness.loader import load_bytes
from harness.scenario import LoadedScenario
from harness.scenario_rules import Vocabulary

DESIGN_EXAMPLE = """\
# yaml-language-server: $schema=../scenario.schema.json
version: 1
name: A transfer cut in the middle resumes and leaves one whole image
covers: [seed-001/test-2, seed-000/test-resume]
seed: 4211
time_limit: 1d
devices:
  yard: {count: 3, profile: esp32s3-cam@3.5.0, wake: {every: 3h}, image: {size: 10kB, chunk: 1kB}}
steps:
  - wake: yard
    faults:
      - {who: "yard[0]", at: "chunk[5].sent", do: power_loss}
      - {who: "yard[1]", at: ack_ok.received, do: lose}
  - expect: {rows: {table: device_images, where: {device: "yard[0]"}, are: [{status: receiving, received_chunks: 6, total_chunks: 10}]}}
  - advance: next_wake
  - expect: {eventually: 1m, message: {to: "yard[0]", topic: ack, contains: {ACK_OK: {}}}}
  - expect: {eventually: 5m, rows: {table: device_images, where: {device: "yard[0]", image_name: image_1.jpg}, are: [{status: complete, received_chunks: 10}]}}
  - expect: {always: true, sql: "SELECT count(*) FROM device_images GROUP BY device_id, image_name HAVING count(*) > 1", rows: 0}
checks: [all]          # the default: no lost, doubled or damaged image; every row's story is consistent
"""

EVERYTHING = """\
version: 1
name: Every key of the language
description: longer text
covers: [seed-001/test-2]
tags: [smoke, resume]
seed: 7
start: 2026-02-01T12:00:00+01:00
time_limit: 2d
servers: 2
devices:
  yard:
    count: 3
    profile: esp32s3-cam@3.5.0+metadata-storm+curly-quotes
    wake: {every: 3h, jitter: 20s}
    image: {size: 10kB, chunk: 1KiB, picture: photo}
    provisioning: mapped
    timezone: Europe/Berlin
    mac: [B8F862F9C1C4, TEST-ESP32-002, B8F862F9C1C5]
    traits:
      answer_wait: 10s
      ack_wait: 20s
      ack_linger: 1s
      chunk_spacing: 200ms
      publish_wait: 1m
      wifi_tries: 2
      wifi_try: 4s
      reconnects_per_wake: 1
      resend_max_per_chunk: 3
      card_capacity: 1MB
      counter_restarts_after_wakes: 4
      resume_from: start
      battery_voltage: 3.7
      wifi_rssi: -60
  shed: {provisioning: unknown, wake: {schedule: "30 6,18 * * *"}}
  lane: {count: 2, wake: {none: true, every: 7h}}
matrix:
  k: 0..1
  how: [cut, power_loss]
  pair: [{a: 1, b: x}, {a: 2, b: y}]
steps:
  - wake: [yard, "shed[*]"]
    wait: true
    wifi: up
    faults:
      - {who: "yard[0]", at: "chunk[${k}].sent", do: "${how}"}
      - {who: yard, at: hello.sent, do: {duplicate: {times: 50, within: 2s}}, times: all, wake: 1}
      - {who: all, at: ack_ok.received, do: lose}
      - {who: yard, at: "chunk[*].sent", do: {reorder: shuffled}, times: all}
      - {who: yard, at: metadata.sent, do: {reorder: {by: 3}}}
      - {who: yard, at: metadata.sent, do: reorder}
      - {who: yard, at: "chunk[last].sent", do: {corrupt: {flip: 1, where: payload}}}
      - {who: yard, at: snap.received, do: {delay: 5s}}
      - {who: yard, at: "chunk[2].sent", do: {power_loss: {for: 10s}}}
      - {who: yard, at: "chunk[3].sent", do: {duplicate: 5}}
    note: why ${b}
  - advance: 3h
  - advance: next_wake
    of: [yard, "yard[1..2]"]
    faults: [{who: yard, at: telemetry.sent, do: lose}]
  - offline: yard
    wakes: 5
  - given: {table: devices, where: {device: "yard[0]"}, set: {manual_wake_override: true}}
  - given: {table: device_images, rows: [{device: "yard[0]", image_name: x.jpg, status: receiving}]}
  - given: {sql: "UPDATE devices SET next_wake_at = NOW() - INTERVAL '5 minutes' WHERE device_id = '${yard[1].id}'"}
  - send: {from: "yard[0]", topic: status, json: {device_id: "${yard[0].mac}", pendingImg: "${a}"}, times: 50, within: 2s}
  - send: {topic: ESP32CAM/B8F862F9C1C4/data, text: "not json", qos: 0, retain: true}
  - send: {topic: "ESP32CAM/${yard[0].mac}/data", base64: aGk=}
  - send: {topic: ESP32CAM/B8F862F9C1C4/data, size: 10MB}
  - expect: {rows: {table: device_images, where: {status: [pending, receiving]}, are: [{status: complete}], order_by: [image_name]}}
  - expect: {eventually: 5m, rows: {table: device_images, count: {min: 1, max: 3}}}
  - expect: {never: true, sql: "SELECT 1 FROM device_images WHERE received_chunks > total_chunks", rows: 1}
  - expect: {sql: "SELECT count(*) FROM devices", equals: 3}
  - expect: {always: 10m, message: {to: yard, topic: ack, contains: {ACK_OK: {}}, lacks: [x], count: {max: 3}}}
  - expect: {message: {from: "yard[0]", topic: data, equals: {a: 1}, text: abc, count: 2}, since: start}
  - expect: {log: {contains: "[Ingest] Resuming", device: "yard[0]", count: 1}}
  - expect: {ledger: {who: yard, captured: 3, stored: 3, lost: 0, doubled: 0, damaged: 0, recovered: {min: 1}}}
  - expect: {queue: {who: yard, pending: 0}}
  - expect: {photos: {who: yard, count: 1}}
  - expect: {eventually: 1m, sleeping: yard}
  - expect: {eventually: 1m, http: {path: /health, status: 200, contains: {status: ok}}}
  - server: crash
  - server: {do: pause, for: 10s, which: all}
  - server: {do: start, which: 1}
  - broker: {do: lose_sessions}
  - database: {do: stop, for: 30s}
  - call: {function: fn_check_image_resumable, args: ["${yard[0].id}", image_1.jpg], returns: [{can_resume: true}], count: 1}
  - call: {function: fn_check_image_resumable, args: {p_device_id: "${yard[0].id}"}}
  - http: {method: POST, path: /functions/v1/x, json: {a: b}, headers: {X: y}, status: 200, contains: {}, text: x, which: 1}
  - power: {who: yard, do: loss, for: 10s}
  - hook: my_module:my_function
    args: {x: 1}
checks: [all]
waive: [{check: no_damaged_image, because: "bits are flipped on purpose", who: yard}]
drain: {wakes: 3}
"""

HEADER = "version: 1\nname: A scenario of a test\ndevices: {yard: {count: 3}}\n"
FREE_WORDS = Vocabulary(tables=("devices", "device_images"))


def loaded(text: str, words: Vocabulary | None = None) -> LoadedScenario:
    """The scenario in a text; the file is called `case.yaml`."""
    return load_bytes(text.encode(), Path("case.yaml"), words)


def with_steps(steps: str) -> str:
    """A scenario of three devices, `yard`, with these steps (a YAML list)."""
    return f"{HEADER}steps:\n" + "".join(f"  {line}\n" for line in steps.splitlines())

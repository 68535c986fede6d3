"""Examples for the reference page: each is a whole scenario or a step that loads, and a test loads them all."""

from typing import Final

WHOLE: Final = """\
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
  - expect:
      rows:
        table: device_images
        where: {device: "yard[0]"}
        are: [{status: receiving, received_chunks: 6, total_chunks: 10}]
  - advance: next_wake
  - expect: {eventually: 1m, message: {to: "yard[0]", topic: ack, contains: {ACK_OK: {}}}}
  - expect:
      eventually: 5m
      rows:
        table: device_images
        where: {device: "yard[0]", image_name: image_1.jpg}
        are: [{status: complete, received_chunks: 10}]
  - expect:
      always: true
      sql: SELECT count(*) FROM device_images GROUP BY device_id, image_name HAVING count(*) > 1
      rows: 0
checks: [all]
"""

MATRIX: Final = """\
version: 1
name: A transfer interrupted after chunk ${after} by ${how} ends whole
devices:
  yard: {image: {size: 4kB, chunk: 1kB}, traits: {resume_from: "${resume_from}"}}
matrix:
  after: 0..3
  how: [cut, power_loss]
  resume_from: [last_chunk, start]
steps:
  - wake: yard
    faults:
      - {who: yard, at: "chunk[${after}].sent", do: "${how}"}
  - advance: next_wake
  - expect: {eventually: 5m, ledger: {stored: {min: 1}, lost: 0, doubled: 0, damaged: 0}}
"""

STEPS: Final[dict[str, str]] = {
    "wake": """\
- wake: yard
  faults:
    - {who: "yard[0]", at: hello.sent, do: {duplicate: {times: 50, within: 2s}}}
    - {who: "yard[1]", at: "chunk[*].sent", do: {reorder: shuffled}}
    - {who: "yard[2]", at: "chunk[last].sent", do: {corrupt: {flip: 1}}}
    - {who: yard, at: "chunk[3].sent", do: lose, times: all}
- wake: "yard[0]"
  wifi: down
""",
    "advance": """\
- advance: 3h
- advance: next_wake
  of: "yard[0]"
""",
    "offline": """\
- offline: yard
  wakes: 5
""",
    "given": """\
- given: {table: devices, where: {device: "yard[0]"}, set: {manual_wake_override: true}}
- given:
    table: device_images
    rows:
      - device: "yard[0]"
        image_name: image_9.jpg
        captured_at: 2026-01-04T21:00:00Z
        status: receiving
        total_chunks: 10
        received_chunks: 5
- given: {sql: "UPDATE devices SET next_wake_at = NOW() - INTERVAL '5 minutes'"}
""",
    "send": """\
- send:
    from: "yard[0]"
    topic: status
    json: {device_id: "${yard[0].mac}", status: Alive, pendingImg: 0}
    times: 50
    within: 2s
- send: {topic: ESP32CAM/B8F862F9C1C4/data, text: "not json"}
- send: {from: "yard[0]", topic: data, size: 10MB}
""",
    "expect": """\
- expect: {rows: {table: device_images, where: {status: [pending, receiving]}, count: 0}}
- expect: {sql: "SELECT status, count(*) FROM device_images GROUP BY status", equals: [[complete, 3]]}
- expect: {never: true, sql: "SELECT 1 FROM device_images WHERE received_chunks > total_chunks", rows: 1}
- expect: {message: {to: yard, topic: cmd, contains: {capture_image: true}, count: 3}, since: start}
- expect: {log: {contains: "[Ingest] No pending images - initiating new image capture", device: "yard[0]"}}
- expect: {ledger: {captured: 3, stored: 3, lost: 0}}
- expect: {eventually: 5m, queue: {who: yard, pending: 0}}
- expect: {photos: {who: yard, count: {max: 1}}}
- expect: {eventually: 5m, sleeping: yard}
""",
    "server": """\
- server: crash
- server: start
- server: {do: pause, for: 10s}
""",
    "broker": """\
- broker: {do: crash, for: 30s}
""",
    "database": """\
- database: {do: stop, for: 30s}
""",
    "store": """\
- store: {do: full, for: 10m}
- store: unreachable
- store: heal
""",
    "migrate": """\
- server: stop
- migrate: legacy_base
- migrate: {sql: "ALTER TABLE device_images ADD CONSTRAINT named UNIQUE (device_id, captured_at)"}
- migrate: {sql: "SELECT no_such_function()", fails: "42883"}
- migrate: {stamp: 002_phase_2_video_mgmt}
- migrate: head
- server: start
""",
    "call": """\
- call: {function: timeout_stale_images, count: {min: 0}}
- call: {function: fn_check_image_resumable, args: ["${yard[0].id}", image_1.jpg]}
""",
    "http": """\
- http:
    method: POST
    path: /functions/v1/mqtt_device_handler
    json: {device_id: "${yard[0].mac}", status: Alive, pendingImg: 0}
    status: 200
""",
    "upload": """\
- upload: {project: 6f1c0f0e-0000-4000-8000-000000000001, styles: [original, thumbnail], keep: {photo: 0.id}}
""",
    "power": """\
- power: {who: "yard[1]", do: loss, for: 10s}
""",
    "flash": """\
- flash: 3.0.0-no-resume
- flash: {who: "yard[0]", firmware: ../camera/build, force: true}
""",
    "console": """\
- console: {who: "yard[0]", write: status, matches: 'camera: status .*"pending": 0', within: 5s}
- console: {who: yard, allow: [panic]}
- console: {who: yard, write: crash panic, contains: "Guru Meditation Error"}
""",
    "hook": """\
- hook: my_hooks:fill_the_card
  args: {images: 40}
""",
}
"""For every kind of step; `yard` has three devices."""

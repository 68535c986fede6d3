"""The firmware that a board boots: the simulated camera, configured from NVS, over real MQTT, seen on its console."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from firmware_fixtures.esp32s3.damage import full_nvs, nvs_without_a_free_page
from firmware_fixtures.esp32s3.nvs import Value
from simulator.board.board import Mode
from simulator.board.camera_config import BadSettings, camera_config
from simulator.board.partition import ota_entry
from simulator.camera import render
from simulator.profile import profile_named
from tests.support.board_client import CHIP
from tests.support.board_images import CHAINS, ELF_SHA256, NVS, OTA_1, OTA_DATA, app, nvs
from tests.support.board_world import ID, BoardWorld, board_world

WHOLE = ["hello", "metadata", "chunk 0", "chunk 1", "chunk 2", "chunk 3"]


def play(
    story: Callable[[BoardWorld], Awaitable[None]], settings: dict[str, str | int] | None = None, **parts: bytes
) -> None:
    async def run() -> None:
        async with board_world(settings or {}, **parts) as world:
            await story(world)

    asyncio.run(run())


def test_a_wake_from_power_on_to_deep_sleep() -> None:
    async def story(world: BoardWorld) -> None:
        ready = await world.expect("cam: ready ")
        assert f"profile=esp32s3-cam@3.5.0 dialect=v3.5.0 device={ID} reset=POWERON" in ready
        photo = render(ID, 1, 7, 3_500)
        assert f"sha256={hashlib.sha256(photo).hexdigest()}" in await world.expect("cam: captured image=image_1.jpg")
        assert await world.expect("cam: sent chunk") == "cam: sent chunk image=image_1.jpg index=0 of=4"
        await world.expect("cam: received ack_ok")
        await world.expect("cam: released image=image_1.jpg")
        await world.expect("cam: sleep for_ms=")
        assert world.kinds == WHOLE and world.host.board.mode is Mode.ASLEEP
        world.type("wake")
        await world.expect("rst:0x5 (DSLEEP),boot:0x8")
        assert "reset=DEEPSLEEP" in await world.expect("cam: ready ")
        await world.expect("cam: sleep for_ms=")
        assert world.kinds == WHOLE * 2

    play(story, {"seed": 7})


def test_power_cut_at_a_chunk_resumes_behind_it() -> None:
    async def story(world: BoardWorld) -> None:
        world.app.switch.arm("chunk[1].sent", _power_loss(200))
        await world.expect("cam: sending chunk image=image_1.jpg index=1")
        await world.expect("rst:0x1 (POWERON)")
        await world.expect("cam: received resume")
        await world.expect("cam: sleep")
        assert world.kinds == [*WHOLE[:4], "hello", "chunk 2", "chunk 3"]

    play(story)


def _power_loss(back_after_ms: int) -> object:
    from simulator.fault import fault_named

    return fault_named("power_loss", back_after_ms=back_after_ms)


def test_other_firmware_finds_the_card() -> None:
    """An upgrade in the middle of a pending image: the old firmware would start it over, the new one goes on."""

    async def story(world: BoardWorld) -> None:
        world.app.switch.arm("chunk[1].sent", _power_loss(100))
        assert "version=3.0.0-no-resume" in await world.expect("cam: ready ")
        flash = world.host.board.flash
        flash.erase(OTA_DATA, 0x1000)
        flash.program(OTA_DATA, ota_entry(2))
        await world.expect("rst:0x1 (POWERON)")
        assert "version=3.5.0" in await world.expect("cam: ready ")
        await world.expect("cam: wake 2")
        await world.expect("cam: sleep")
        assert world.kinds == [*WHOLE[:4], "hello", "chunk 2", "chunk 3"]

    play(story, app_0=app(version="3.0.0-no-resume"), app_1=app(offset=OTA_1))


def test_firmware_without_resume_starts_over() -> None:
    async def story(world: BoardWorld) -> None:
        world.app.switch.arm("chunk[1].sent", _power_loss(100))
        await world.expect("rst:0x1 (POWERON)")
        await world.expect("cam: sleep")
        assert world.kinds == [*WHOLE[:4], *WHOLE]

    play(story, app_0=app(version="3.0.0-no-resume"))


@pytest.mark.parametrize(
    ("kind", "words", "reset", "reason"),
    [
        ("panic", "Guru Meditation Error: Core  0 panic'ed (LoadProhibited)", "rst:0xc (RTC_SW_CPU_RST)", "PANIC"),
        ("abort", "abort() was called at PC 0x42000400 on core 0", "rst:0xc (RTC_SW_CPU_RST)", "PANIC"),
        ("wdt", "task_wdt: Task watchdog got triggered.", "rst:0xc (RTC_SW_CPU_RST)", "TASK_WDT"),
        ("brownout", "Brownout detector was triggered", "rst:0xf (BROWNOUT_RST)", "BROWNOUT"),
    ],
)
def test_crashes(kind: str, words: str, reset: str, reason: str) -> None:
    async def story(world: BoardWorld) -> None:
        world.answers = False
        await world.expect("cam: sent hello")
        world.type(f"crash {kind}")
        await world.expect(words)
        if kind != "brownout":
            backtrace = await world.expect("Backtrace: ")
            chain = CHAINS.get({"wdt": "watchdog"}.get(kind, kind), ())
            assert [int(pair.partition(":")[0], 16) for pair in backtrace.split()[1:]] == list(chain)
            assert await world.expect("ELF file SHA256: ") == f"ELF file SHA256: {ELF_SHA256[:9]}"
            await world.expect("Rebooting...")
        await world.expect(reset)
        assert f"reset={reason}" in await world.expect("cam: ready ")

    play(story)


def test_commands_of_the_console() -> None:
    async def story(world: BoardWorld) -> None:
        world.answers = False
        await world.expect("cam: sent hello")
        world.type("status")
        assert "state=awaiting_answer wakes=1 photos=0" in await world.expect("cam: status ")
        world.type("nvs")
        assert await world.expect("cam: nvs wakestorm.broker_pass") == "cam: nvs wakestorm.broker_password=***"
        world.type("reboot")
        assert "unknown command 'reboot'; there are wake, status" in await world.expect("W (")
        world.type("crash softly")
        assert "no crash 'softly'; there are panic" in await world.expect("W (")
        world.type("sleep")
        await world.expect("cam: sleep for_ms=")
        assert world.host.board.mode is Mode.ASLEEP

    play(story, {"broker_password": "hunter2"})


def test_a_clock_that_is_moved_wakes_the_sleeper() -> None:
    async def story(world: BoardWorld) -> None:
        await world.expect("cam: sleep for_ms=")
        device = world.app.device
        assert device is not None and device.next_wake_ms is not None
        world.app.set_time(device.next_wake_ms)
        await world.expect("rst:0x5 (DSLEEP)")
        await world.expect("cam: wake 2 (deepsleep)")

    play(story)


def test_a_clock_that_is_set_in_a_wake_makes_no_sleep_shorter() -> None:
    """An interval counts from the wake, by whatever clock: 3 h stay 3 h when the time is told after the boot."""

    async def story(world: BoardWorld) -> None:
        world.app.is_wifi_up = False
        await world.expect("cam: wake 1")
        world.app.set_time(world.app.now_ms + 2 * 3_600_000)
        for_ms = int((await world.expect("cam: sleep for_ms=")).removeprefix("cam: sleep for_ms="))
        assert 3 * 3_600_000 - 60_000 < for_ms <= 3 * 3_600_000

    play(story, {"traits": '{"wifi_tries": 1, "wifi_try_ms": 100}'})


def test_no_wifi_keeps_the_photo() -> None:
    async def story(world: BoardWorld) -> None:
        world.app.is_wifi_up = False
        assert "offline=1" in await world.expect("cam: captured image=image_1.jpg")
        await world.expect("cam: sleep")
        world.app.is_wifi_up = True
        world.type("wake")
        await world.expect("cam: sent chunk image=image_1.jpg index=3 of=4")

    play(story, {"traits": '{"wifi_tries": 1, "wifi_try_ms": 600, "chunk_spacing_ms": 1, "ack_linger_ms": 50}'})


def test_an_app_that_is_no_camera_starts_and_is_silent() -> None:
    async def story(world: BoardWorld) -> None:
        await world.expect("app_init: Project name:     hello_world")
        await world.expect("main_task: Calling app_main()")
        world.type("status")
        await asyncio.sleep(0)
        assert "cam:" not in world.port.text and world.host.board.mode is Mode.APP

    play(story, app_0=app("hello_world", "1.0"))


@pytest.mark.parametrize(
    ("fill", "said", "device_id"),
    [
        (full_nvs, "nvs: ESP_ERR_NVS_NOT_ENOUGH_SPACE (0x1105)", "B8F862000009"),
        (nvs_without_a_free_page, "nvs: ESP_ERR_NVS_NO_FREE_PAGES (0x110d)", CHIP.mac.hex().upper()),
    ],
)
def test_storage_that_is_full(fill: Callable[[dict[str, Value]], bytes], said: str, device_id: str) -> None:
    """With room for clean-up it can be read still; without that it doesn't open, and the firmware has its defaults."""

    async def story(world: BoardWorld) -> None:
        flash = world.host.board.flash
        flash.erase(NVS, 0x6000)
        flash.program(NVS, fill({"device_id": "B8F862000009"}))
        world.host.reset()
        await world.expect(said)
        assert f"device={device_id} " in await world.expect("cam: ready ")

    play(story)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"picture": "oil"}, "picture is 'oil', expected fast or photo"),
        ({"device_id": 7}, "device_id is int, expected a string"),
        ({"traits": "[1]"}, "expected a JSON object"),
        ({"traits": '{"wifi_trys": 1}'}, "did you mean 'wifi_try_ms'?"),
        ({"habits": "ignores-next-wave"}, "did you mean 'ignores-next-wake'?"),
        ({"dialect": "v9"}, "no dialect 'v9'"),
        ({"image_bytes": 0}, "image_size_bytes is 0, expected at least 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, str | int], said: str) -> None:
    with pytest.raises(BadSettings) as caught:
        camera_config(profile_named("esp32s3-cam@3.5.0"), bytes(6), settings)
    assert said in str(caught.value)


def test_settings_over_the_firmware() -> None:
    settings: dict[str, str | int] = {
        "habits": "metadata-storm",
        "traits": '{"metadata_storm": [1, 2]}',
        "wake_every_s": 60,
    }
    config = camera_config(profile_named("esp32s3-cam@3.5.0"), bytes.fromhex("7cdfa1e0b0c5"), settings)
    assert config.device_id == "7CDFA1E0B0C5"
    assert (config.profile.metadata_storm, config.profile.wake_interval_ms) == ((1, 2), 60_000)
    assert len(nvs(settings)) == 0x6000

"""What fleets are made of: who is due when, photos, payloads, bursts, latencies."""

from __future__ import annotations

import hashlib
import io
from base64 import b64decode
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.fleet.judging import without_untold
from harness.ledger import Outcome, StoredFact, reconciled
from server.wire.codec import dialect_called, encode_device_message
from server.wire.messages import Capture, Chunk
from simulator.device import Device
from simulator.effects import DeviceIdentity, Effect, Publish, PublishChunks
from simulator.encoded import Encoder
from simulator.latency import Latencies, merged
from simulator.profile import profile_named
from simulator.rng import Rng
from simulator.roster import Roster, shard_of_camera
from simulator.stock_camera import StockBase64, StockCamera

NOW_MS = 1_800_000_000_000


def test_what_a_lost_shard_could_not_tell_of_is_nobodys_fault() -> None:
    """Its cameras stored photos after its last word; those of a shard that lives are unexpected all the same."""

    def row(device: str, name: str) -> StoredFact:
        return StoredFact(
            device=device,
            wire_image_name=name,
            captured_at=datetime(2026, 1, 5, tzinfo=UTC),
            status="complete",
            sha256="00",
            size_bytes=1,
            offers=1,
        )

    ledger = reconciled([], [row("cam-0000001", "image_1.jpg"), row("cam-0000002", "image_1.jpg")])
    assert [entry.outcome for entry in ledger] == [Outcome.UNEXPECTED, Outcome.UNEXPECTED]
    kept, untold = without_untold(ledger, frozenset({"cam-0000002"}))
    assert ([entry.device for entry in kept], untold) == (["cam-0000001"], 1)
    assert without_untold(ledger, frozenset()) == (list(ledger), 0)


def roster_of(devices: int, **changes: int) -> Roster:
    return Roster(devices, **{"seed": 3, "interval_ms": 1_000, "spread_ms": 1_000, "length_ms": 2_500, **changes})


def woken(roster: Roster) -> list[tuple[int, int]]:
    """Every wake until nobody is due any more, with those that the fleet would plan."""
    found: list[tuple[int, int]] = []
    counts: dict[int, int] = {}
    while (due_ms := roster.next_due_ms) is not None:
        assert roster.take_due(due_ms - 1) is None
        taken = roster.take_due(due_ms)
        assert taken is not None and taken[1] == due_ms
        found.append(taken)
        counts[taken[0]] = counts.get(taken[0], 0) + 1
        next_ms = roster.planned_ms(taken[0], counts[taken[0]])
        if next_ms is not None:
            roster.sleep(taken[0], next_ms)
    return found


def test_every_camera_wakes_once_an_interval_in_the_order_of_time() -> None:
    wakes = woken(roster_of(50))
    assert [due_ms for _, due_ms in wakes] == sorted(due_ms for _, due_ms in wakes)
    assert {index for index, due_ms in wakes if due_ms < 1_000} == set(range(50))
    assert len(wakes) == 100 + sum(due_ms >= 2_000 for _, due_ms in wakes)
    assert all(due_ms < 2_500 for _, due_ms in wakes)


def test_without_a_spread_all_wake_in_the_same_millisecond() -> None:
    assert {due_ms for _, due_ms in woken(roster_of(9, spread_ms=0, length_ms=1))} == {0}


@given(st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=20)
def test_shards_share_the_cameras_and_wake_them_when_the_whole_fleet_would(parts: int, finer: int) -> None:
    whole = woken(roster_of(40))
    shards = [woken(roster_of(40, part=part, parts=parts)) for part in range(1, parts + 1)]
    assert sorted(wake for shard in shards for wake in shard) == sorted(whole)
    for index in range(40):
        assert (shard_of_camera(index, parts * finer) - 1) % parts == shard_of_camera(index, parts) - 1


@given(st.integers(300, 200_000), st.integers(64, 9_000), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_a_stock_photo_is_a_jpeg_of_its_size_and_its_own(size_bytes: int, chunk_bytes: int, wake: int) -> None:
    size_bytes = max(size_bytes, 300)
    one, other = (
        StockCamera(device_id=device, seed=1, size_bytes=size_bytes, chunk_bytes=chunk_bytes) for device in "AB"
    )
    jpeg = one(wake, wake)
    assert len(jpeg) == size_bytes
    assert jpeg == one(wake, 99)
    assert jpeg not in (one(wake + 1, 1), other(wake, 1))
    Image.open(io.BytesIO(jpeg)).load()


def test_every_chunk_of_a_stock_photo_that_has_room_is_its_own() -> None:
    photos = [StockCamera(device_id=mac, seed=1, size_bytes=81_920, chunk_bytes=4_096)(1, 1) for mac in "AB"]
    chunks = [{photo[start : start + 4_096] for start in range(0, 81_920, 4_096)} for photo in photos]
    assert len(chunks[0]) == len(chunks[1]) == 20
    assert len(chunks[0] & chunks[1]) <= 1  # the one that holds the picture itself


@pytest.mark.parametrize("profile", ["esp32s3-cam@3.5.0", "esp32s3-cam@2025.10", "esp32s3-cam@paper-v4"])
def test_prepared_chunks_are_the_codecs_bytes(profile: str) -> None:
    traits = profile_named(profile).with_traits(chunk_size_bytes=1_000)
    jpeg = bytes(range(256)) * 11
    burst = PublishChunks(number=1, image_name='image_"1"%d.jpg', jpeg=jpeg, first_index=1, count=2)
    dialect = dialect_called(traits.dialect)
    wanted = [
        encode_device_message(
            Chunk(
                device_id="02FC00000001",
                image_name=burst.image_name,
                chunk_id=index + dialect.first_chunk_id,
                payload=jpeg[index * 1_000 : (index + 1) * 1_000],
                declared_size_bytes=1_000,
            ),
            dialect,
        )[1]
        for index in (1, 2)
    ]
    assert Encoder(traits).chunks("02FC00000001", burst) == wanted


@given(st.integers(300, 200_000), st.integers(64, 9_000))
@settings(max_examples=30, deadline=None)
def test_prepared_base64_is_that_of_the_chunk(size_bytes: int, chunk_bytes: int) -> None:
    jpeg = StockCamera(device_id="A", seed=1, size_bytes=size_bytes, chunk_bytes=chunk_bytes)(1, 1)
    prepared = StockBase64(size_bytes, chunk_bytes, 1)
    for index in range(-(-size_bytes // chunk_bytes)):
        assert b64decode(b"".join(prepared(jpeg, index))) == jpeg[index * chunk_bytes : (index + 1) * chunk_bytes]


def told_to_capture(burst: int | None) -> tuple[Device, list[Effect]]:
    profile = profile_named("esp32s3-cam@3.5.0").with_traits(chunk_spacing_ms=0, burst_chunks=burst)
    jpeg = StockCamera(device_id="A", seed=1, size_bytes=profile.image_size_bytes, chunk_bytes=1_024)
    device = Device(DeviceIdentity(device_id="02FC00000001"), profile, jpeg, Rng(1))
    device.wake(NOW_MS)
    (hello,) = device.link_up(NOW_MS)
    assert isinstance(hello, Publish)
    device.sent(hello.number, NOW_MS)
    return device, device.receive(Capture(), NOW_MS)


def sent_chunks(burst: int | None) -> list[tuple[int, int, bytes]]:
    """(first index, count, bytes) of what goes out after the metadata."""
    device, effects = told_to_capture(burst)
    found: list[tuple[int, int, bytes]] = []
    while effects:
        effect = next(effect for effect in effects if isinstance(effect, Publish | PublishChunks))
        if isinstance(effect, PublishChunks):
            data = effect.jpeg[effect.first_index * 1_024 : (effect.first_index + effect.count) * 1_024]
            found.append((effect.first_index, effect.count, data))
        elif isinstance(effect.message, Chunk):
            found.append((effect.message.chunk_id, 1, effect.message.payload))
        effects = device.sent(effect.number, NOW_MS)
    return found


def test_bursts_send_what_single_chunks_send() -> None:
    single = sent_chunks(None)
    assert [(first, count) for first, count, _ in single] == [(index, 1) for index in range(10)]
    assert sent_chunks(1) == single
    assert [(first, count) for first, count, _ in sent_chunks(4)] == [(0, 4), (4, 4), (8, 2)]
    assert b"".join(data for *_, data in sent_chunks(4)) == b"".join(data for *_, data in single)


def test_a_burst_is_noted_as_handed_over_to_its_last_chunk() -> None:
    device, effects = told_to_capture(4)
    metadata = effects[-1]
    assert isinstance(metadata, Publish)
    device.sent(metadata.number, NOW_MS)
    assert device.card.pending[0].last_handed == 3


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=60))
@settings(max_examples=40)
def test_percentiles_are_good_to_four_percent(durations_ms: list[float]) -> None:
    latencies = Latencies()
    for duration_ms in durations_ms:
        latencies.add(duration_ms)
    ordered = sorted(durations_ms)
    for percent in (50, 95, 99, 100):
        exact = ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
        found = latencies.percentile_ms(percent)
        assert found is not None and exact * 0.999 <= found <= exact * 1.05
    halves = [Latencies(), Latencies()]
    for number, duration_ms in enumerate(durations_ms):
        halves[number % 2].add(duration_ms)
    assert merged(halves).counts == latencies.counts


def test_a_stock_photo_has_the_hash_that_the_device_says() -> None:
    device, _ = told_to_capture(4)
    entry = device.card.pending[0]
    assert entry.jpeg is not None and hashlib.sha256(entry.jpeg).hexdigest() == entry.sha256

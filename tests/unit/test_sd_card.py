"""The SD card's queue."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from simulator.sd_card import CardFull, Entry, SdCard

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def stored(card: SdCard, wake_number: int, size_bytes: int = 100) -> Entry:
    return card.store(
        bytes(size_bytes), captured_at=NOON, wake_number=wake_number, total_chunks=4, sha256=f"{wake_number:064x}"
    )


def test_the_queue_keeps_the_order_and_loses_only_what_is_released() -> None:
    card = SdCard(1_000)
    first, second, third = (stored(card, number) for number in (1, 2, 3))
    assert [entry.image_name for entry in card.pending] == ["image_1.jpg", "image_2.jpg", "image_3.jpg"]
    assert card.release(second)
    assert not card.release(second)
    assert card.pending == (first, third)
    assert card.captures == (first, second, third)
    assert second.jpeg is None


def test_a_full_card_gives_up_confirmed_photos_first_and_pending_ones_never() -> None:
    card = SdCard(250)
    first, second = stored(card, 1), stored(card, 2)
    card.release(first)
    third = stored(card, 3)
    assert card.captures == (second, third)
    with pytest.raises(CardFull, match="200 of 250 are used, 2 images are pending"):
        stored(card, 4)
    assert card.counter == 3
    assert card.pending == (second, third)


def test_a_name_means_the_pending_image_that_was_offered_last() -> None:
    card = SdCard(1_000)
    old = stored(card, 1)
    card.counter = 0
    new = stored(card, 2)
    assert old.image_name == new.image_name == "image_1.jpg"
    assert card.find("image_1.jpg") is new
    card.handed(old, None, is_metadata=True)
    assert card.find("image_1.jpg") is old
    card.release(old)
    assert card.find("image_1.jpg") is new
    assert card.find("image_2.jpg") is None


def test_only_a_pass_moves_what_was_handed_last() -> None:
    card = SdCard(1_000)
    entry = stored(card, 1)
    assert entry.last_handed == -1
    card.handed(entry, None, is_metadata=True)
    card.handed(entry, 0)
    card.handed(entry, 1)
    card.handed(entry, None)
    assert entry.last_handed == 1
    card.handed(entry, None, is_metadata=True)
    assert entry.last_handed == -1

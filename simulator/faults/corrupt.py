"""Bits of the message flip on the way."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import Literal

from simulator.catalogue import FaultRow, Setting
from simulator.fault import Action, Deliver, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrupt:
    """`flip` different bits flip: inside the image bytes (`payload`; the message stays valid), or in its text (`json`).

    A message without image bytes is struck in its text.
    """

    flip: int = 1
    where: Literal["payload", "json"] = "payload"

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        damaged = self._inside(parcel.payload, rng) if self.where == "payload" else None
        if damaged is None:
            damaged = _broken_text(parcel.payload, self.flip, rng)
        return [Deliver(replace(parcel, payload=damaged))]

    def _inside(self, message: bytes, rng: Rng) -> bytes | None:
        """The same JSON with other image bytes; None where there are none."""
        try:
            fields = json.loads(message)
        except ValueError:
            return None
        image = fields.get("payload") if isinstance(fields, dict) else None
        if isinstance(image, str) and image:
            fields["payload"] = base64.b64encode(_flipped(base64.b64decode(image), self.flip, rng)).decode()
        elif isinstance(image, list) and image:
            fields["payload"] = list(_flipped(bytes(image), self.flip, rng))
        else:
            return None
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def _flipped(data: bytes, flip: int, rng: Rng) -> bytes:
    result = bytearray(data)
    places: set[int] = set()
    while len(places) < min(flip, 8 * len(data)):
        places.add(rng.below(8 * len(data)))
    for place in places:
        result[place // 8] ^= 1 << (place % 8)
    return bytes(result)


def _broken_text(message: bytes, flip: int, rng: Rng) -> bytes:
    """Flipped bits in the text; the first one sits in the opening brace, so it is no JSON object any more."""
    if not message:
        return b"\x00"
    return bytes((message[0] ^ 0x80,)) + (_flipped(message[1:], flip - 1, rng) if flip > 1 else message[1:])


ROW = FaultRow(
    name="corrupt",
    layer="link",
    does="Bits of a message flip: in the image bytes, or anywhere in its text.",
    example="steps: [{wake: yard, faults: [{who: yard, at: hello.sent, do: {corrupt: {flip: 3, where: json}}}]}]",
    heals="after `times` messages, at the next step with faults, or at the end of the steps",
    scenario="scenarios/chunks/a-flipped-bit-is-refused-by-its-hash.yaml",
    sign="action:corrupt",
    source="Link: corrupt byte",
    settings=(
        Setting(name="flip", unit="count", default="1", does="how many bits, chosen by the seed"),
        Setting(name="where", unit="payload or json", default="payload", does="in the image bytes, or in the text"),
    ),
)

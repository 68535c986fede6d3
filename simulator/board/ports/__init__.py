"""Ways to a board's serial line: `pty` (a pseudo-terminal), `tcp` (a bare socket), `rfc2217` (with modem lines).

`inprocess` is pyserial's `vboard://NAME`, for programs that hold the board themselves. All run on an asyncio loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

OnData = Callable[[bytes, int | None], None]
"""(bytes from the host, the speed they were sent at or None)."""

OnLines = Callable[[bool, bool], None]
"""(DTR, RTS) as the host has set them."""


class Port(Protocol):
    """One end of a cable. `name` is what pyserial and esptool take as port."""

    @property
    def name(self) -> str: ...

    @property
    def has_lines(self) -> bool:
        """Whether the host can drive DTR and RTS."""
        ...

    def baud(self) -> int | None:
        """The speed the host has set; None where the transport has none."""
        ...

    async def plug(self, on_data: OnData, on_lines: OnLines) -> None:
        """Be there for hosts. May be called again after `unplug`."""
        ...

    def unplug(self) -> None:
        """Vanish, as a cable that is pulled."""
        ...

    def write(self, data: bytes) -> None:
        """Send to the host; what nobody reads is dropped, as a UART does."""
        ...

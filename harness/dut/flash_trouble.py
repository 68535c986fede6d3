"""What esptool's last words mean: who is to blame, the cause in one line, and what to do. Pure.

esptool hides first causes behind general words, so an entry says only what the words bear. Order matters: the most
telling first. The texts are esptool 5's and 4's; each entry has a test with the words as they came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from harness.blame import Blame


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why flashing did not work. `retry`: another start of esptool may well work."""

    kind: str
    blame: Blame
    cause: str
    fix: str
    retry: bool


@dataclass(frozen=True, slots=True)
class _Sign:
    pattern: re.Pattern[str]
    trouble: Trouble


def _sign(kind: str, pattern: str, blame: Blame, cause: str, fix: str, *, retry: bool) -> _Sign:
    return _Sign(re.compile(pattern, re.IGNORECASE), Trouble(kind, blame, cause, fix, retry))


SIGNS: Final = (
    _sign(
        "port-held",
        r"exclusively lock port|Resource (busy|temporarily unavailable)|Errno (11|16)\]",
        Blame.HARNESS,
        "another program has the port open",
        "close the monitor or the second run; `fuser PORT` names it",
        retry=False,
    ),
    _sign(
        "no-permission",
        r"Permission denied|Errno 13",
        Blame.HARNESS,
        "this user may not open the port",
        "join the group that owns the device file (often dialout), then log in again",
        retry=False,
    ),
    _sign(
        "no-port",
        r"No such file or directory|Errno 2\]|could not open port|port doesn't exist|Connection refused|"
        r"Could not open (socket|remote port|connection)",
        Blame.CABLE,
        "the port is not there",
        "plug the board in, with a cable that carries data; `wakestorm boards scan` shows the ports",
        retry=True,
    ),
    _sign(
        "port-vanished",
        r"port that is not open|device disconnected|returned no data|Errno (5|6|19)\]|Input/output error|"
        r"No such device|Lost connection|Broken pipe|socket disconnected|ClearCommError",
        Blame.CABLE,
        "the port went away in the middle",
        "a loose plug, a hub that saves power, or a supply that is too weak: try another cable and socket",
        retry=True,
    ),
    _sign(
        "wrong-chip",
        r"This chip is \S+,? not |Wrong (--)?chip argument|chip type .* doesn't match",
        Blame.BOARD,
        "another chip than the inventory says answers",
        "is this the right board? else correct `chip` in boards.yaml",
        retry=False,
    ),
    _sign(
        "image-for-another-chip",
        r"is not an? \S+ image|Unexpected chip id in image|image is (not )?for|is not supported by this chip|"
        r"requires chip rev",
        Blame.FIRMWARE,
        "the image was built for another chip",
        "build for this chip (idf.py set-target)",
        retry=False,
    ),
    _sign(
        "secured",
        r"Secure Download Mode|secure boot|flash encryption|Encrypted.*(not|disabled)",
        Blame.BOARD,
        "the chip's eFuses forbid this",
        "flash it with the keys that it was locked with",
        retry=False,
    ),
    _sign(
        "does-not-fit",
        r"will not fit in|does not fit|exceeds the (flash|available)|beyond the end of flash",
        Blame.FIRMWARE,
        "the images are larger than the flash",
        "correct the flash size in the project, or `flash_size` in boards.yaml",
        retry=False,
    ),
    _sign(
        "md5",
        r"MD5 of file does not match|digest mismatch|Verify failed|hash.* (mismatch|does not match)",
        Blame.BOARD,
        "the flash does not hold what was written",
        "a worn sector if it stays; a weak supply or a bad contact if it comes and goes",
        retry=True,
    ),
    _sign(
        "not-in-download-mode",
        r"Wrong boot mode detected|waiting for download|needs to be in download mode|invalid boot mode",
        Blame.BOARD,
        "the chip starts its program instead of its loader",
        "hold BOOT, press RESET, let BOOT go; for good: connect DTR to IO0 and RTS to EN",
        retry=True,
    ),
    _sign(
        "no-answer",
        r"No serial data received|Failed to connect|Timed out waiting for packet header",
        Blame.CABLE,
        "nobody answers on this port",
        "wrong port, no power, or a cable without data lines; or hold BOOT and press RESET",
        retry=True,
    ),
    _sign(
        "refused",
        r"result was 01[0-9a-f]{2}|status.* error|Invalid command|command .*not supported|Unable to write to flash",
        Blame.BOARD,
        "the chip refused a command",
        "try once more; if it stays: the flash or its supply",
        retry=True,
    ),
    _sign(
        "bytes-lost",
        r"No more data to read|data stream stopped|content transfer stopped|Invalid head of packet|stopped responding|"
        r"Invalid SLIP|Timed out|Corrupt data|Unable to verify flash chip connection|Packet|SLIP",
        Blame.CABLE,
        "bytes were lost or damaged on the line",
        "a shorter cable, another socket, or a lower `flash: {baud: 115200}` in boards.yaml",
        retry=True,
    ),
    _sign(
        "time-limit",
        r"killed after",
        Blame.CABLE,
        "esptool did not come to an end",
        "take the board's power away and give it back",
        retry=True,
    ),
    _sign(
        "no-esptool",
        r"No module named esptool|No such option|Invalid value for|Usage: esptool|unrecognized arguments",
        Blame.HARNESS,
        "esptool is missing, or too old to know an option",
        "pip install 'esptool>=5.3'",
        retry=False,
    ),
)

UNKNOWN: Final = Trouble(
    "unknown",
    Blame.HARNESS,
    "esptool gave up for a reason that is not known here",
    "its own words stand below",
    True,
)


def trouble_of(text: str) -> Trouble:
    """The first sign in what esptool said last; in all that it said when the end is silent."""
    last = _last_words(text)
    for part in (last, text):
        for sign in SIGNS:
            if sign.pattern.search(part):
                return sign.trouble
    return UNKNOWN


def last_words(text: str) -> str:
    """What it gave as the reason, on one line."""
    return " ".join(_last_words(text).split())[:300]


def _last_words(text: str) -> str:
    start = max(text.rfind("A fatal error occurred:"), text.rfind("A serial exception error occurred:"))
    if start < 0:
        start = text.rfind("ERROR:")
    said = text[start:] if start >= 0 else "\n".join(text.strip().splitlines()[-3:])
    return said.split("For troubleshooting steps")[0].split("This can have many causes")[0]

"""What esptool says, as it came from esptool 5.6 and 4.8, and who is blamed for it."""

from __future__ import annotations

import pytest

from harness.blame import Blame
from harness.dut.esptool import Ended
from harness.dut.flash_trouble import SIGNS, UNKNOWN, last_words, trouble_of

DOCS = "For troubleshooting steps visit: https://docs.espressif.com/projects/esptool/en/latest/troubleshooting.html"
SAID = [
    (
        "Connecting...\nA fatal error occurred: Could not open /dev/ttyUSB0, the port is busy or doesn't exist.\n"
        "([Errno 11] Could not exclusively lock port /dev/ttyUSB0: [Errno 11] Resource temporarily unavailable)",
        "port-held",
        Blame.HARNESS,
    ),
    (
        "A fatal error occurred: Could not open /tmp/f, the port is busy or doesn't exist. ([Errno 2] could not open "
        "port /tmp/f: [Errno 2] No such file or directory: '/tmp/f') Hint: Check if the port is correct",
        "no-port",
        Blame.CABLE,
    ),
    (
        "A fatal error occurred: Could not open /dev/ttyUSB0, the port is busy or doesn't exist. ([Errno 13] could not "
        "open port /dev/ttyUSB0: [Errno 13] Permission denied: '/dev/ttyUSB0')",
        "no-permission",
        Blame.HARNESS,
    ),
    (
        "Lost connection, retrying...\nWaiting for the chip to reconnect.......\nERROR: A serial exception error "
        f"occurred: Attempting to use a port that is not open\nNote: This error originates from pySerial. {DOCS}",
        "port-vanished",
        Blame.CABLE,
    ),
    (
        "A serial exception error occurred: device reports readiness to read but returned no data (device "
        "disconnected or multiple access on port?)",
        "port-vanished",
        Blame.CABLE,
    ),
    (
        "A fatal error occurred: This chip is ESP32, not ESP32-S3. Wrong chip argument?",
        "wrong-chip",
        Blame.BOARD,
    ),
    (
        "A fatal error occurred: 'app.bin' is not an ESP32-S3 image. Use the force argument to flash anyway.",
        "image-for-another-chip",
        Blame.FIRMWARE,
    ),
    ("ERROR: A fatal error occurred: MD5 of file does not match data in flash!", "md5", Blame.BOARD),
    (
        "A fatal error occurred: Failed to connect to ESP32-S3: Wrong boot mode detected (0x8)! The chip needs to be "
        f"in download mode.\n{DOCS}",
        "not-in-download-mode",
        Blame.BOARD,
    ),
    (
        "Connecting......\n\nERROR: A fatal error occurred: Failed to connect to ESP32-S3: No serial data received.\n"
        + DOCS,
        "no-answer",
        Blame.CABLE,
    ),
    (
        "ERROR: A fatal error occurred: Failed to enter compressed flash mode (result was 01C4: Unknown result)",
        "refused",
        Blame.BOARD,
    ),
    (
        "ERROR: A fatal error occurred: No more data to read from the serial port. This can have many causes, " + DOCS,
        "bytes-lost",
        Blame.CABLE,
    ),
    (
        "ERROR: A fatal error occurred: Serial data stream stopped: Possible serial noise or corruption.",
        "bytes-lost",
        Blame.CABLE,
    ),
    ("A fatal error occurred: Invalid head of packet (0x45): Possible serial noise", "bytes-lost", Blame.CABLE),
    (
        "A fatal error occurred: File 'app.bin' (length 9000000) at offset 131072 will not fit in 4194304 bytes of "
        "flash.",
        "does-not-fit",
        Blame.FIRMWARE,
    ),
    ("Writing at 0x00020000...\nkilled after 60 s", "time-limit", Blame.CABLE),
    ("/usr/bin/python: No module named esptool", "no-esptool", Blame.HARNESS),
    ("A fatal error occurred: something entirely new", "unknown", Blame.HARNESS),
]


@pytest.mark.parametrize(("said", "kind", "blame"), SAID, ids=[f"{kind}-{n}" for n, (_, kind, _) in enumerate(SAID)])
def test_esptools_words_have_a_culprit(said: str, kind: str, blame: Blame) -> None:
    trouble = trouble_of(said)
    assert (trouble.kind, trouble.blame) == (kind, blame)
    assert trouble.cause and trouble.fix


def test_every_sign_has_words_that_were_seen() -> None:
    unseen = {sign.trouble.kind for sign in SIGNS} - {kind for _, kind, _ in SAID}
    assert unseen == {"secured"}  # no chip with burnt eFuses was at hand


def test_the_last_words_are_short() -> None:
    assert last_words(SAID[9][0]) == "A fatal error occurred: Failed to connect to ESP32-S3: No serial data received."
    assert trouble_of("") is UNKNOWN


def test_what_esptool_found_is_read_region_by_region() -> None:
    out = (
        "Chip type:          ESP32-S3 (QFN56) (revision v0.2)\nMAC:                7c:df:a1:e0:b0:c5\n"
        "Verifying 0xf0 (240) bytes at 0x00000000 in flash against 'b.bin'...\n"
        "Verification successful (digest matched).\n"
        "Verifying 0xc00 (3072) bytes at 0x00008000 in flash against 'p.bin'...\n"
        "Verification failed (digest mismatch).\n"
        "Verifying 0x10190 (65936) bytes at 0x00020000 in flash against 'a.bin'...\n"
    )
    ended = Ended("verify-flash", 2, out, "", 1.0)
    assert ended.verified == {0: True, 0x8000: False}
    assert (ended.mac, ended.chip) == ("7CDFA1E0B0C5", "ESP32-S3 (QFN56) (revision v0.2)")
    out = (
        "Writing 'b.bin' at 0x00000000...\nFlash will be erased from 0x00000000 to 0x00000fff...\n"
        "Hash of data verified.\n"
        "Writing 'p.bin' at 0x00008000...\nComparing flash contents against new data...\n"
        "'p.bin' at 0x00008000 already in flash, skipping write.\nWriting 'a.bin' at 0x00020000...\n"
    )
    assert Ended("write-flash", 2, out, "", 1.0).erased == {0: True, 0x8000: False}
    assert Ended("write-flash", 2, "Connecting...", "", 1.0).erased == {}
    assert Ended("verify-flash", 2, "Connecting...", "", 1.0).verified == {}

"""Becomes another program that Linux kills when the thread that started it ends, however that ends.

Run as `python -P -I die_with_parent.py PARENT_PID PROGRAM ARGUMENT...`. The mark survives exec; without Linux the
program runs unmarked. It is run by path, so it imports nothing of this project.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Mark this process, make sure the parent was still there, then exec."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone")
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()

"""A process that shares one core keeps to it; only backends of PostgreSQL are brought along."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, subprocess, sys
from harness.bench.one_core import bring_along, share_one_core
cores = sorted(os.sched_getaffinity(0))
other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
os.sched_setaffinity(other.pid, cores)
bring_along(other.pid)
share_one_core(int(sys.argv[1]))
bring_along(other.pid)
bring_along(2**22 + 1)
print(sorted(os.sched_getaffinity(0)), sorted(os.sched_getaffinity(other.pid)) == cores)
other.communicate(b"\\n")
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_number_has_its_core_and_strangers_stay_where_they_are(number: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(number)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == f"{[cores[number % len(cores)]]} True"

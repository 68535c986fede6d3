"""`wakestorm proxy` as a process: its address, its faults, its end."""

from __future__ import annotations

import asyncio
import re
import signal
import sys

import pytest

pytestmark = pytest.mark.slow

PATIENCE_S = 30.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1_000):
        writer.write(data)
    writer.close()


def test_it_passes_bytes_on_does_its_fault_and_ends_at_sigterm() -> None:
    async def story() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        to = "{}:{}".format(*server.sockets[0].getsockname()[:2])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "harness.cli", "proxy", "--to", to, "--fault", "cut_after=5B"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            line = (await process.stdout.readline()).decode()
            found = re.fullmatch(rf"127\.0\.0\.1:(\d+) passes on to {re.escape(to)}\n", line)
            assert found is not None, line
            reader, writer = await asyncio.open_connection("127.0.0.1", int(found[1]))
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.write(b"more")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
        finally:
            process.send_signal(signal.SIGTERM)
            _, told = await process.communicate()
        assert process.returncode == 0
        lines = told.decode().splitlines()
        assert lines[:3] == ["planned: cut_after", "cut_after begins", "connection 1 begins"]
        assert lines[3:] == ["connection 1 over: 5 bytes up, 5 down", "1 connections, 14 bytes taken"]
        server.close()

    async def patiently() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story()

    asyncio.run(patiently())

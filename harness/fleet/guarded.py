"""An own bench whose server asks who comes: users are made and tokens issued by the server's own commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from harness.bench import HttpAnswer
from harness.bench.brokers import BrokerKind
from harness.bench.postgres_cluster import SERVER, Cluster
from harness.errors import BenchUnavailable
from harness.fleet.bench import OwnBench

PASSWORD: Final = "correct horse battery"
FORM: Final = "application/x-www-form-urlencoded"
ROOT: Final = Path(__file__).parents[2]


_TELLS_A_SECRET: Final = (("user", "token"), ("logins", "add"))


class GuardedBench(OwnBench):
    """Nobody is let in without a session or a token."""

    def __init__(
        self, folder: Path, broker: BrokerKind, *, log: Callable[[str], None], cluster: Cluster | None = None
    ) -> None:
        super().__init__(folder, broker, log=log, cluster=cluster)
        self.folder = folder
        self.handed_out = [PASSWORD]
        """Passwords, tokens and cookies that people, devices and programs were given."""

    def _arguments(self, dsn: str) -> list[str]:
        return [word for word in super()._arguments(dsn) if word != "--insecure-local"]

    @property
    def port(self) -> int:
        """Where its pages are, on loopback."""
        return self._server.port

    async def exchange(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One request to its pages or its HTTP API; raises BenchUnavailable."""
        return await self._server.exchange(method, path, headers, body)

    async def command(self, *words: object, given: str = "") -> str:
        """What a command of wakestorm prints, on this database. Raises BenchUnavailable where it fails."""
        url = self.dsn(SERVER)
        said = await self._in_thread(lambda: _said(url, [str(word) for word in words], given))
        if words[:2] in _TELLS_A_SECRET:
            self.handed_out += [line.rpartition(",")[2] for line in said.split()]
        return said

    async def token(self, role: str) -> str:
        """A bearer token of a new user of that role."""
        await self.command("user", "add", role, "--role", role, "--password-stdin", given=PASSWORD)
        return (await self.command("user", "token", role, "--role", role)).strip()

    async def signed_in(self, name: str, given: dict[str, str]) -> dict[str, str]:
        """The cookies of a browser that has signed in, and came with those given. Raises BenchUnavailable."""
        page = await self.exchange("GET", "/sign-in", {"accept": "text/html"})
        found = re.search(rb'name="csrf_token" value="([^"]+)"', page.body)
        token = found[1].decode() if found else ""
        cookies = given | {"wakestorm_form": token}
        said = {"cookie": as_header(cookies), "content-type": FORM}
        form = urlencode({"csrf_token": token, "name": name, "password": PASSWORD}).encode()
        answer = await self.exchange("POST", "/sign-in", said, form)
        session = re.search(r"wakestorm_session=([^;]+)", answer.headers.get("set-cookie", ""))
        if answer.status != 303 or session is None:
            raise BenchUnavailable(f"{name} can not sign in: {answer.status} {answer.body[:200]!r}")
        self.handed_out.append(session[1])
        return cookies | {"wakestorm_session": session[1]}


def as_header(cookies: Mapping[str, str]) -> str:
    """Cookies as a browser sends them."""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def _said(url: str, words: Sequence[str], given: str) -> str:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli", *words],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path, "DATABASE_URL": url},
    )
    if done.returncode:
        raise BenchUnavailable(f"wakestorm {' '.join(words)}: exit code {done.returncode}", hint=done.stderr.strip())
    return done.stdout

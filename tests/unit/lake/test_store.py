"""One contract for every store, each implementation through it."""

import uuid

import fsspec
import pytest

from kontinual.errors import LakeError
from kontinual.lake import LocalStore, RemoteStore, open_store


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    if request.param == "file":
        yield open_store(str(tmp_path))
        return
    root = f"/store-{uuid.uuid4().hex}"
    store = open_store(f"memory:/{root}")
    store.write("born", b"")
    yield store
    fsspec.filesystem("memory").rm(root, recursive=True)


def test_what_is_written_is_read(store):
    store.write("a/b/c.bin", b"\x00\xff")
    store.write("a/b/c.bin", b"new")

    assert store.read("a/b/c.bin") == b"new"
    assert store.exists("a/b/c.bin")
    assert store.exists("a/b")


def test_create_succeeds_once(store):
    store.create("a/x", b"first")

    with pytest.raises(FileExistsError):
        store.create("a/x", b"second")
    assert store.read("a/x") == b"first"


def test_names_are_sorted_and_none_where_nothing_is(store):
    for name in ["b", "a", "c/d"]:
        store.write(f"folder/{name}", b"")

    assert store.names("folder") == ["a", "b", "c"]
    assert store.names("elsewhere") == []


def test_a_file_that_is_not_there_is_named(store):
    with pytest.raises(LakeError, match="nothing/here: there is no such file"):
        store.read("nothing/here")
    assert not store.exists("nothing/here")


def test_its_urls_open_elsewhere(store):
    store.write("a/x", b"content")

    with fsspec.open(store.url("a/x"), "rb") as file:
        assert file.read() == b"content"


def test_leftovers_of_a_killed_writer_are_not_seen(tmp_path):
    (tmp_path / "spans").mkdir()
    (tmp_path / "spans" / ".tmp-0123").write_bytes(b"half")

    assert LocalStore(tmp_path).names("spans") == []


@pytest.mark.parametrize("url", ["{}/lake", "file://{}/lake"])
def test_a_path_and_a_file_url_are_the_same_store(tmp_path, url):
    store = open_store(url.format(tmp_path))
    store.write("x", b"1")

    assert isinstance(store, LocalStore)
    assert (tmp_path / "lake" / "x").read_bytes() == b"1"


def test_a_store_that_fails_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = open_store(str(tmp_path / "file"))

    with pytest.raises(LakeError, match=r"file/a/x: the store failed: .*Not a directory"):
        store.write("a/x", b"")


def test_create_asks_an_object_store_for_exclusive_creation():
    class Bucket:
        """Records how it is written to, as S3 would see it."""

        def __init__(self):
            self.calls = []

        def makedirs(self, path, exist_ok):
            self.calls.append(("makedirs", path))

        def pipe_file(self, path, content, mode):
            self.calls.append((mode, path, content))

        def unstrip_protocol(self, path):
            return f"s3://{path}"

    bucket = Bucket()
    store = RemoteStore(bucket, "bucket/lake")
    store.create("spans/manifest.json", b"{}")
    store.write("note.json", b"[]")

    assert ("create", "bucket/lake/spans/manifest.json", b"{}") in bucket.calls
    assert ("overwrite", "bucket/lake/note.json", b"[]") in bucket.calls
    assert store.url("note.json") == "s3://bucket/lake/note.json"

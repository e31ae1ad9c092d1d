"""Where the bytes of a lake live: whole files, written so that no half of one is ever seen.

A file appears complete or not at all, and `create` succeeds for one writer only.
On `file://` both hold against crashes and concurrent processes (temporary file,
fsync, then a rename or an exclusive hard link). Any other store is reached
through fsspec: its uploads are atomic on object stores, and `create` asks for the
store's own exclusive creation (`mode="create"`, a conditional write on S3 and
GCS). Where a store has none, one ingesting process at a time is assumed.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from fsspec.core import url_to_fs

from kontinual.errors import LakeError

__all__ = ["LocalStore", "RemoteStore", "Store", "open_store"]

_TEMPORARY = ".tmp-"


class Store(Protocol):
    """Files below one root, addressed by relative paths with `/`."""

    def url(self, path: str) -> str:
        """Full URL (or plain local path) of a file."""

    def read(self, path: str) -> bytes:
        """The whole file; LakeError when it is not there."""

    def exists(self, path: str) -> bool: ...

    def names(self, path: str) -> list[str]:
        """Sorted names inside a folder; none when there is no such folder."""

    def write(self, path: str, content: bytes) -> None:
        """Make the file hold this, replacing what it held."""

    def create(self, path: str, content: bytes) -> None:
        """Make the file; FileExistsError when it is there already."""

    def upload(self, path: str, source: Path) -> None:
        """Make the file hold what a local one holds, however large, replacing what it held."""

    def local(self, path: str) -> AbstractContextManager[Path]:
        """The file as a local one to read from, for as long as the context lasts."""


def open_store(url: str) -> Store:
    """The store at an fsspec URL or a local path.

    Raises:
        LakeError: no file system is known for the URL's scheme.
    """
    try:
        fs, root = url_to_fs(url)
    except (ImportError, ValueError) as exc:
        raise LakeError(f"{url}: no store can be opened there: {exc}") from exc
    if "file" in fs.protocol:
        return LocalStore(Path(root))
    return RemoteStore(fs, root)


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except FileNotFoundError as exc:
        raise LakeError(f"{path}: there is no such file") from exc
    except OSError as exc:
        raise LakeError(f"{path}: the store failed: {exc}") from exc


class LocalStore:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def url(self, path: str) -> str:
        return str(self._root / path)

    def read(self, path: str) -> bytes:
        with _explained(self.url(path)):
            return (self._root / path).read_bytes()

    def exists(self, path: str) -> bool:
        return (self._root / path).exists()

    def names(self, path: str) -> list[str]:
        with _explained(self.url(path)):
            folder = self._root / path
            names = os.listdir(folder) if folder.is_dir() else []
        return sorted(n for n in names if not n.startswith(_TEMPORARY))

    def write(self, path: str, content: bytes) -> None:
        self._place(path, lambda file: file.write(content), os.replace)

    def create(self, path: str, content: bytes) -> None:
        self._place(path, lambda file: file.write(content), os.link)

    def upload(self, path: str, source: Path) -> None:
        with source.open("rb") as content:
            self._place(path, lambda file: shutil.copyfileobj(content, file), os.replace)

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        with _explained(self.url(path)):
            (self._root / path).open("rb").close()  # what can not be read is said here
        yield self._root / path

    def _place(self, path: str, fill: Callable[[Any], object], move: Any) -> None:
        target = self._root / path
        with _explained(str(target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.parent / f"{_TEMPORARY}{uuid.uuid4().hex}"
            try:
                _write_durably(temporary, fill)
                move(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(target.parent)


class RemoteStore:
    """A folder of any fsspec file system."""

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root.rstrip("/")

    def url(self, path: str) -> str:
        return str(self._fs.unstrip_protocol(self._full(path)))

    def read(self, path: str) -> bytes:
        with _explained(self.url(path)):
            return bytes(self._fs.cat_file(self._full(path)))

    def exists(self, path: str) -> bool:
        with _explained(self.url(path)):
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._full(path)))

    def names(self, path: str) -> list[str]:
        with _explained(self.url(path)):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._full(path), detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in found)

    def write(self, path: str, content: bytes) -> None:
        self._put(path, content, mode="overwrite")

    def create(self, path: str, content: bytes) -> None:
        self._put(path, content, mode="create")

    def upload(self, path: str, source: Path) -> None:
        full = self._full(path)
        with _explained(self.url(path)):
            self._fs.makedirs(full.rsplit("/", 1)[0], exist_ok=True)
            self._fs.put_file(str(source), full)

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="kontinual-lake-") as folder:
            copy = Path(folder) / path.rsplit("/", 1)[-1]
            with _explained(self.url(path)):
                self._fs.get_file(self._full(path), str(copy))
            yield copy

    def _put(self, path: str, content: bytes, *, mode: str) -> None:
        full = self._full(path)
        with _explained(self.url(path)):
            self._fs.makedirs(full.rsplit("/", 1)[0], exist_ok=True)
            self._fs.pipe_file(full, content, mode=mode)

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"


def _write_durably(path: Path, fill: Callable[[Any], object]) -> None:
    with path.open("wb") as file:
        fill(file)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A client of MLflow, quiet and safe to open from several processes at once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from kontinual.errors import TrackingError

__all__ = ["Store", "is_missing", "tracking_errors"]

_SQLITE = "sqlite:///"
_BUSY_SECONDS = 30
_LOCK_SECONDS = 60


class Store:
    """Where trials and versions are: the MLflow client, the folder for files, the lock's place.

    Args:
        uri: an MLflow tracking URI: `sqlite:///<path>` keeps everything beside that file,
            `http(s)://...` is a server.
        name: of the loop; locks and caches of two loops are apart.
        lock: file of the promotion lock; default beside the sqlite file, or in the user's
            cache folder for a server. A server's lock only holds off the processes of this
            machine: there is one trigger service for a loop.
    """

    def __init__(self, uri: str, name: str, *, lock: Path | None = None) -> None:
        self.uri = uri
        self.folder = _folder(uri)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock_path = lock or self.folder / f"{name}.champion.lock"
        self.lock_path.parent.mkdir(parents=True, exist_ok=True)
        # One object, so that a thread may take again what it holds.
        self._lock = FileLock(self.lock_path, timeout=_LOCK_SECONDS)
        self._client: Any = None

    @property
    def local(self) -> bool:
        return self.uri.startswith(_SQLITE)

    @property
    def client(self) -> Any:
        """The MlflowClient; MLflow is imported at the first use, which takes seconds."""
        if self._client is None:
            self._client = self._open()
        return self._client

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the promotion lock.

        Raises:
            TrackingError: another process holds it for a minute.
        """
        try:
            with self._lock:
                yield
        except TimeoutError as exc:
            raise TrackingError(
                f"{self.lock_path}: locked by another process for {_LOCK_SECONDS} s; "
                "look which one promotes, and try again"
            ) from exc

    def _open(self) -> Any:
        # A second at best; a reader of two aliases should not pay it before it must.
        from kontinual.tracking.mlflow_client import MlflowClient

        uri = f"{self.uri}?timeout={_BUSY_SECONDS}" if self.local else self.uri
        # The first client makes the tables; two at once would both try.
        with tracking_errors(f"{self.uri} can not be opened"), FileLock(self.folder / "setup.lock"):
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            if self.local:
                client.search_registered_models(max_results=1)
                _let_readers_read(Path(self.uri.removeprefix(_SQLITE)))
            return client


@contextmanager
def tracking_errors(what: str) -> Iterator[None]:
    """Whatever MLflow or its store raises, as a TrackingError.

    Args:
        what: could not be done; begins the message.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as exc:
        raise TrackingError(f"{what}: {str(exc).strip().splitlines()[0][:500]}") from exc


def is_missing(exc: Exception) -> bool:
    """Did MLflow say that the thing does not exist (and not that it could not look)?"""
    return getattr(exc, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def _folder(uri: str) -> Path:
    if uri.startswith(_SQLITE):
        return Path(uri.removeprefix(_SQLITE)).resolve().parent
    if uri.startswith(("http://", "https://")):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "kontinual" / urlsplit(uri).netloc.replace(":", "_")
    raise TrackingError(
        f"a tracking URI is sqlite:///<path>, http://... or https://..., but got {uri!r}; "
        "set KONTINUAL_TRACKING"
    )


def _let_readers_read(database: Path) -> None:
    """Write-ahead logging: the trigger reads the champion while a run writes its trials."""
    import sqlite3

    with sqlite3.connect(database, timeout=_BUSY_SECONDS) as connection:
        connection.execute("PRAGMA journal_mode=WAL")

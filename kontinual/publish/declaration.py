"""The declaration, stored where pods read it: beside the loop's part of the lake."""

import fsspec

from kontinual.errors import LakeError, SpecError
from kontinual.lake.store import Store, open_store
from kontinual.publish.change import Change, Verb
from kontinual.settings import Settings
from kontinual.spec import Loop

__all__ = ["declaration_url", "store_declaration"]

_NAME = "loop.yaml"


def declaration_url(settings: Settings, loop: str) -> str:
    """Where a loop's declaration is for pods: `<lake>/<loop>/loop.yaml`.

    Raises:
        SpecError: the lake is a folder of this machine because no other was set.
    """
    return _store(settings, loop).url(_NAME)


def store_declaration(text: str, loop: Loop, settings: Settings, *, dry_run: bool) -> Change:
    """Store the declaration if it is not stored as it is.

    Raises:
        SpecError: the lake, or the history that the declaration names, is not there for pods.
        LakeError: the store failed.
    """
    store = _store(settings, loop.name)
    url, content = store.url(_NAME), text.encode()
    _check_history(loop, url)
    before = store.read(_NAME) if store.exists(_NAME) else None
    if before == content:
        return Change("declaration", Verb.UNCHANGED, url)
    if not dry_run:
        store.write(_NAME, content)
    return Change("declaration", Verb.UPDATED if before else Verb.CREATED, url)


def _store(settings: Settings, loop: str) -> Store:
    if settings.lake is None:
        raise SpecError(
            "KONTINUAL_LAKE is not set, and pods can not read this machine's folder "
            f"{settings.home}: set it to a URL that both can read, such as s3://bucket/lake"
        )
    return open_store(f"{settings.lake.rstrip('/')}/{loop}")


def _check_history(loop: Loop, url: str) -> None:
    """A relative table counts from the declaration's place, also once that has moved."""
    table = loop.data.history.table
    if table is None or "://" in table or table.startswith("/"):
        return
    address = f"{url.rpartition('/')[0]}/{table}"
    try:
        fs, path = fsspec.core.url_to_fs(address)
        found = fs.glob(path)
    except (OSError, ValueError) as exc:
        raise LakeError(f"{address}: can not be looked for: {exc}") from exc
    if not found:
        raise SpecError(
            f"data.history.table: {table!r} counts from the published declaration, but there is "
            f"no {address}: put the table there, or name it by its full URL"
        )

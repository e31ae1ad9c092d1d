"""Retention: old entries move into a file, and a checkpoint in the chain seals what it holds."""

import hashlib
import os
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import delete, update

from kontinual.errors import LedgerError
from kontinual.spec import utc_text
from kontinual.trigger import rows, tables
from kontinual.trigger.chain import EntryKind
from kontinual.trigger.ledger import Ledger

__all__ = ["Archived", "archive"]


class Archived(BaseModel):
    """What was moved."""

    path: Path
    entries: int
    through: int
    sha256: str


def archive(ledger: Ledger, *, before: datetime, path: Path, by: str) -> Archived | None:
    """Move the entries from before a moment into a new file; None when there are none.

    The file is on the disk before anything is deleted, so a crash leaves the entries at
    one of the two places at least. Triggers and runs stay known to the policy; the last
    entry stays too, as the chain goes on from it.

    Raises:
        LedgerError: the file exists or can not be written, or the chain was tampered with.
    """
    ledger.audit()
    with ledger.reading() as connection:
        head = rows.head(connection, ledger.loop)
        old = [
            rows.to_entry(row)
            for row in rows.entries(connection, ledger.loop)
            if head is not None and row["seq"] < head[0]
        ]
    late = next((i for i, e in enumerate(old) if e.at >= utc_text(before)), len(old))
    old = old[:late]
    if not old:
        return None
    content = "".join(entry.model_dump_json() + "\n" for entry in old).encode()
    _write(path, content)
    done = Archived(
        path=path,
        entries=len(old),
        through=old[-1].seq,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    body = {
        "by": by,
        "file": path.name,
        "sha256": done.sha256,
        "first": old[0].seq,
        "through": done.through,
        "head": old[-1].hash,
    }
    mine = tables.heads.c.loop == ledger.loop
    with ledger.writing() as writer:
        writer.append(EntryKind.CHECKPOINT, body)
        writer.connection.execute(update(tables.heads).where(mine).values(archived=done.through))
        table = tables.entries
        gone = (table.c.loop == ledger.loop) & (table.c.seq <= done.through)
        writer.connection.execute(delete(table).where(gone))
    return done


def _write(path: Path, content: bytes) -> None:
    """A whole new file, on the disk when this returns."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as exc:
        raise LedgerError(f"{path}: the archive can not be written: {exc}") from exc

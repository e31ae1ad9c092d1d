"""The chain of ledger entries: each entry's hash covers its content and the hash before it.

An entry that is altered, removed or moved breaks the chain at that place. What a
chain alone can not show is that its end was cut off; the ledger keeps the head
apart for that, and an exported head hash kept elsewhere proves it to anyone.
"""

import hashlib
import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kontinual.errors import LedgerError

__all__ = ["GENESIS", "Entry", "EntryKind", "canonical_json", "check_chain", "link"]

GENESIS = "0" * 64


class EntryKind(StrEnum):
    """What an entry says happened."""

    TRIGGER_RECEIVED = "trigger.received"
    TRIGGER_DECIDED = "trigger.decided"
    TRIGGER_APPROVED = "trigger.approved"
    ALERT_RESOLVED = "alert.resolved"
    RUN_LAUNCHED = "run.launched"
    RUN_STOP_ASKED = "run.stop_asked"
    RUN_ENDED = "run.ended"
    LOOP_PAUSED = "loop.paused"
    LOOP_RESUMED = "loop.resumed"
    CIRCUIT_CLOSED = "circuit.closed"
    CHECKPOINT = "checkpoint"  # seals the entries that were moved into an archive


class Entry(BaseModel):
    """One link of the chain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loop: str
    seq: int = Field(ge=1)
    kind: EntryKind
    at: str = Field(description="ISO 8601 text, hashed as it stands")
    body: dict[str, Any]
    previous: str
    hash: str

    def expected_hash(self) -> str:
        """The hash that this content must have."""
        document = canonical_json(
            {
                "at": self.at,
                "body": self.body,
                "kind": self.kind.value,
                "loop": self.loop,
                "seq": self.seq,
            }
        )
        return hashlib.sha256(f"{self.previous}\n{document}".encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with one spelling: keys sorted, no spaces, no NaN, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def link(*, previous: str, **content: Any) -> Entry:
    """The entry of this content after the entry whose hash is `previous`."""
    draft = Entry(previous=previous, hash="", **content)
    return draft.model_copy(update={"hash": draft.expected_hash()})


def check_chain(
    entries: Iterable[Entry], *, after: tuple[int, str] = (0, GENESIS)
) -> tuple[int, str]:
    """Number and hash of the last entry of an unbroken chain; `after` of an empty one.

    Args:
        entries: in their order.
        after: number and hash of the entry that they follow.

    Raises:
        LedgerError: an entry was altered, removed or moved; names the first bad one.
    """
    seq, previous = after
    for entry in entries:
        if entry.seq != seq + 1:
            raise LedgerError(
                f"entry {seq + 1} is missing: after entry {seq} comes entry {entry.seq}"
            )
        if entry.previous != previous:
            raise LedgerError(
                f"entry {entry.seq} ({entry.kind}) does not follow entry {seq}: it was altered, "
                "moved, or the entry before it was replaced"
            )
        if entry.hash != entry.expected_hash():
            raise LedgerError(
                f"entry {entry.seq} ({entry.kind}) was altered: its content does not have its hash"
            )
        seq, previous = entry.seq, entry.hash
    return seq, previous

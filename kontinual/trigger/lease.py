"""Who works: of several replicas one at a time, by a row in the database that expires.

A lease has a term, which rises with every change of hands. What the worker writes
names its lease, and is refused once the term has passed to another (fencing): a worker that
slept through its lease can not write over its successor. What it does outside, launching, it does
only while its lease lasts longer than that takes; and it is idempotent by the run's name.
"""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta

import psutil
from sqlalchemy import insert, select, update

from kontinual.errors import LedgerError
from kontinual.spec import utc_text
from kontinual.trigger.tables import leases
from kontinual.trigger.writer import Writer

__all__ = ["Lease", "LeaseLost", "check_lease", "process_name", "release_lease", "take_lease"]


class LeaseLost(LedgerError):
    """Another worker has taken over; this one must not write."""


@dataclass(frozen=True)
class Lease:
    """The right to work for a loop, for a while."""

    holder: str
    term: int
    expires_at: datetime


def process_name() -> str:
    """This process, as no other is named: host, number, and when it was started."""
    return f"{socket.gethostname()}/{os.getpid()}/{psutil.Process().create_time():.2f}"


def take_lease(writer: Writer, holder: str, length: timedelta) -> Lease | None:
    """Take, keep or prolong the lease; None while another holds it."""
    found = writer.connection.execute(
        select(leases).where(leases.c.loop == writer.loop).with_for_update()
    ).one_or_none()
    expires = writer.now + length
    values = {"holder": holder, "expires_at": utc_text(expires)}
    if found is None:
        writer.connection.execute(insert(leases).values(loop=writer.loop, term=1, **values))
        return Lease(holder, 1, expires)
    # One that lasts longer than any is of a clock that has stepped back; clocks of machines differ.
    lasts = utc_text(writer.now) < found.expires_at <= utc_text(expires + length)
    if found.holder != holder and lasts and not _is_dead(found.holder):
        return None
    term = found.term + (found.holder != holder)
    mine = update(leases).where(leases.c.loop == writer.loop)
    writer.connection.execute(mine.values(term=term, **values))
    return Lease(holder, term, expires)


def release_lease(writer: Writer, lease: Lease) -> None:
    """Give the lease up, so that the next need not wait for its end."""
    mine = (leases.c.loop == writer.loop) & (leases.c.term == lease.term)
    writer.connection.execute(update(leases).where(mine).values(expires_at=utc_text(writer.now)))


def check_lease(writer: Writer, lease: Lease) -> None:
    """Refuse to go on in a transaction whose writer has lost its lease.

    Raises:
        LeaseLost: another worker holds a later term.
    """
    query = select(leases.c.holder, leases.c.term).where(leases.c.loop == writer.loop)
    found = writer.connection.execute(query).one_or_none()
    if found is None or (found.holder, found.term) != (lease.holder, lease.term):
        now = "nobody" if found is None else f"{found.holder} (term {found.term})"
        raise LeaseLost(
            f"the lease of {writer.loop} is held by {now}, no longer by {lease.holder} "
            f"(term {lease.term})"
        )


def _is_dead(holder: str) -> bool:
    """Was the holder a process of this very machine that is gone?"""
    host, _, process = holder.rpartition("/")[0].partition("/")
    started = holder.rpartition("/")[2]
    if host != socket.gethostname():
        return False
    try:
        found = psutil.Process(int(process))
        return f"{found.create_time():.2f}" != started
    except (psutil.NoSuchProcess, ValueError):
        return True

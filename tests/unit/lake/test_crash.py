"""Whatever the moment a writer dies at, the lake stays readable and nothing is lost."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from kontinual.errors import LakeError
from kontinual.lake import Lake
from kontinual.lake import store as store_module


def _die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def _write_and_die(url, loop, frame, step, nth):
    """Write a span, killed at the n-th call of one system call."""
    real, calls = getattr(os, step), iter(range(1, 100))

    def counted(*args, **kwargs):
        if next(calls) == nth:
            _die()
        return real(*args, **kwargs)

    setattr(store_module.os, step, counted)
    Lake(url, loop).write(frame, source="table")
    os._exit(0)


def _in_a_process(*args):
    child = multiprocessing.get_context("fork").Process(target=_write_and_die, args=args)
    child.start()
    child.join(30)
    return child.exitcode


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("step", "nth", "exists_after"),
    [
        ("fsync", 1, False),  # the data's temporary file
        ("replace", 1, False),  # before the data has its name
        ("fsync", 2, False),  # the data's folder
        ("fsync", 3, False),  # the manifest's temporary file
        ("link", 1, False),  # before the manifest has its name
        ("fsync", 4, True),  # after: the span exists
    ],
)
def test_a_killed_writer_leaves_a_readable_lake(disk, loop, rows, step, nth, exists_after):
    kept = disk.write(rows(7), source="table")
    root = disk.path("..").removesuffix("/shop/..")

    assert _in_a_process(root, loop, rows(9, first=7), step, nth) == -signal.SIGKILL

    assert [s.number for s in disk.spans()] == [1, 2][: 1 + exists_after]
    assert disk.span(1) == kept
    again = disk.write(rows(9, first=7), source="table")
    assert again.number == 2 + exists_after
    assert len(disk.read(again.number)) == 9


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_writer_that_is_let_live_writes(disk, loop, rows):
    root = disk.path("..").removesuffix("/shop/..")

    assert _in_a_process(root, loop, rows(9), "link", 99) == 0
    assert [s.rows for s in disk.spans()] == [9]


@pytest.mark.parametrize("step", ["fsync", "replace", "link"])
def test_a_full_disk_is_a_clear_error_and_leaves_no_litter(disk, rows, monkeypatch, step):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.os, step, full)
    with pytest.raises(LakeError, match=r"spans/000001/.*: the store failed: .*No space left"):
        disk.write(rows(5), source="table")
    monkeypatch.undo()

    assert disk.spans() == []
    assert not list(Path(disk.path()).rglob(".tmp-*"))


def _race(url, loop, frame, barrier):
    lake = Lake(url, loop)
    barrier.wait()
    for _ in range(4):
        lake.write(frame, source="table")


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_writers_in_parallel_never_take_the_same_number(disk, loop, rows):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    root = disk.path("..").removesuffix("/shop/..")
    jobs = [
        context.Process(target=_race, args=(root, loop, rows(10 + i), barrier)) for i in range(3)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)

    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert [s.number for s in disk.spans()] == list(range(1, 13))
    assert sorted(len(disk.read(n)) for n in range(1, 13)) == [10] * 4 + [11] * 4 + [12] * 4

import asyncio
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kontinual.trigger.group import MOST, Group


class Down(Exception):
    """Nothing can be written."""


class Disk:
    """Writes numbers; those below zero are refused, and while it is down nothing is written."""

    def __init__(self) -> None:
        self.tried: list[list[int]] = []
        self.written: list[int] = []
        self.is_down = False
        self.go_on = threading.Event()
        self.go_on.set()

    def write(self, items: Sequence[int]) -> list[str]:
        self.tried.append(list(items))
        assert self.go_on.wait(timeout=60)
        if self.is_down:
            raise Down("the disk is full")
        if bad := [item for item in items if item < 0]:
            raise ValueError(f"{bad[0]} is below zero")
        self.written += items
        return [f"{item} is written" for item in items]


def group_of(disk: Disk) -> Group[int, str]:
    return Group(disk.write, hopeless=Down)


async def together(group: Group[int, str], items: Sequence[int]) -> list[str | BaseException]:
    return await asyncio.gather(*map(group.add, items), return_exceptions=True)


@settings(deadline=None)
@given(st.lists(st.integers(-3, 20), max_size=30))
def test_each_is_answered_for_itself_and_a_bad_one_fails_no_neighbour(items: list[int]) -> None:
    disk = Disk()
    answers = asyncio.run(together(group_of(disk), items))
    good = [f"{i} is written" if i >= 0 else f"{i} is below zero" for i in items]
    assert [str(answer) for answer in answers] == good
    assert disk.written == [i for i in items if i >= 0], "each once, in the order they came"


def test_what_comes_while_one_is_written_is_written_together_after_it() -> None:
    async def story(disk: Disk) -> None:
        group = group_of(disk)
        first = asyncio.create_task(group.add(0))
        while not disk.tried:
            await asyncio.sleep(0)
        others = [asyncio.create_task(group.add(i)) for i in (1, 2, 3)]
        await asyncio.sleep(0)
        assert not first.done(), "nothing is answered before it is written"
        disk.go_on.set()
        await asyncio.gather(first, *others)

    disk = Disk()
    disk.go_on.clear()
    asyncio.run(story(disk))
    assert disk.tried == [[0], [1, 2, 3]]


def test_a_transaction_has_an_end_however_many_wait() -> None:
    disk = Disk()
    asyncio.run(together(group_of(disk), range(2 * MOST + 1)))
    assert [len(items) for items in disk.tried] == [MOST, MOST, 1]


def test_where_nothing_can_be_written_all_are_told_after_one_try() -> None:
    async def story(disk: Disk) -> None:
        group = group_of(disk)
        disk.is_down = True
        answers = await together(group, [1, 2, 3])
        assert [str(answer) for answer in answers] == ["the disk is full"] * 3
        disk.is_down = False
        assert await group.add(4) == "4 is written", "and it goes on when it can"

    disk = Disk()
    asyncio.run(story(disk))
    assert disk.tried == [[1, 2, 3], [4]]


def test_one_who_went_away_is_written_and_keeps_nobody_waiting() -> None:
    async def story(disk: Disk) -> None:
        group = group_of(disk)
        gone = asyncio.create_task(group.add(1))
        stays = asyncio.create_task(group.add(2))
        while not disk.tried:
            await asyncio.sleep(0)
        gone.cancel()
        disk.go_on.set()
        assert await stays == "2 is written"
        with pytest.raises(asyncio.CancelledError):
            await gone

    disk = Disk()
    disk.go_on.clear()
    asyncio.run(story(disk))
    assert disk.written == [1, 2]

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.errors import LedgerError
from kontinual.trigger.chain import GENESIS, Entry, EntryKind, canonical_json, check_chain, link


def chain_of(length: int) -> list[Entry]:
    entries: list[Entry] = []
    for i in range(length):
        entries.append(
            link(
                previous=entries[-1].hash if entries else GENESIS,
                loop="toy",
                seq=i + 1,
                kind=EntryKind.ALERT_RESOLVED,
                at=f"2026-01-01T00:00:{i:02}.000Z",
                body={"trigger": i, "note": "ü"},
            )
        )
    return entries


def test_an_unbroken_chain_ends_with_its_last_entry() -> None:
    entries = chain_of(5)
    assert check_chain(entries) == (5, entries[-1].hash)
    assert check_chain([]) == (0, GENESIS)


def test_a_hash_is_what_anybody_can_compute_from_the_entry() -> None:
    (entry,) = chain_of(1)
    document = (
        '{"at":"2026-01-01T00:00:00.000Z","body":{"note":"ü","trigger":0},'
        '"kind":"alert.resolved","loop":"toy","seq":1}'
    )
    assert entry.hash == hashlib.sha256(f"{'0' * 64}\n{document}".encode()).hexdigest()


@given(length=st.integers(2, 8), data=st.data())
def test_any_altered_field_of_any_entry_is_found_at_that_entry(
    length: int, data: st.DataObject
) -> None:
    entries = chain_of(length)
    at = data.draw(st.integers(0, length - 1))
    change = data.draw(
        st.sampled_from(
            [
                {"body": {"trigger": 99}},
                {"at": "2026-01-01T00:00:00.0001Z"},
                {"kind": EntryKind.RUN_ENDED},
                {"loop": "other"},
                {"hash": "f" * 64},
            ]
        )
    )
    entries[at] = entries[at].model_copy(update=change)
    with pytest.raises(LedgerError, match=rf"^entry {at + 1} .*was altered"):
        check_chain(entries)


@given(length=st.integers(2, 8), data=st.data())
def test_a_rewritten_entry_with_a_fitting_hash_is_found_at_the_next(
    length: int, data: st.DataObject
) -> None:
    entries = chain_of(length)
    at = data.draw(st.integers(0, length - 2))
    draft = entries[at].model_copy(update={"body": {"trigger": 99}})
    entries[at] = draft.model_copy(update={"hash": draft.expected_hash()})
    with pytest.raises(LedgerError, match=rf"^entry {at + 2} .*does not follow entry {at + 1}"):
        check_chain(entries)


@given(length=st.integers(2, 8), data=st.data())
def test_a_removed_entry_is_named(length: int, data: st.DataObject) -> None:
    entries = chain_of(length)
    at = data.draw(st.integers(0, length - 2))
    del entries[at]
    with pytest.raises(LedgerError, match=rf"^entry {at + 1} is missing"):
        check_chain(entries)


@given(length=st.integers(2, 8), data=st.data())
def test_entries_in_another_order_are_found(length: int, data: st.DataObject) -> None:
    entries = chain_of(length)
    order = data.draw(st.permutations(range(length)).filter(lambda o: o != sorted(o)))
    moved = [entries[old].model_copy(update={"seq": new + 1}) for new, old in enumerate(order)]
    first = next(i for i, old in enumerate(order) if i != old)
    with pytest.raises(LedgerError, match=rf"^entry {first + 1} "):
        check_chain(moved)


def test_canonical_json_has_one_spelling_and_no_nan() -> None:
    assert canonical_json({"b": 1, "a": [None, "ü"]}) == '{"a":[null,"ü"],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))

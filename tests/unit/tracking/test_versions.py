"""Versions and their champion: one at a time, changed by compare-and-swap."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from filelock import FileLock

from kontinual.errors import ModelPackageError, PromotionConflict, TrackingError
from kontinual.model import ModelPackage
from kontinual.tracking import Tracker
from kontinual.tracking import store as store_module

MakePackage = Callable[[str], Path]
_ROUNDS = 6
_RACER = """
import sys
from kontinual.errors import PromotionConflict
from kontinual.tracking import Tracker

registry = Tracker(sys.argv[1], "flights")
registry.champion()
print("ready", flush=True)
for line in sys.stdin:
    version, expected = line.split()
    try:
        registry.set_champion(version, expected=None if expected == "none" else expected)
        print("won", flush=True)
    except PromotionConflict:
        print("lost", flush=True)
"""


def test_a_registered_package_comes_back_whole(tracker: Tracker, make_package: MakePackage) -> None:
    folder = make_package("a")
    version = tracker.register(folder, run_id="flights-1", metrics={"roc_auc": 0.7})
    assert version == "1"
    shutil.rmtree(folder)
    found = tracker.package(version)
    assert ModelPackage.read(found).loop == "flights"
    assert (found / "model.onnx").read_bytes() == b"a"


def test_versions_count_up_and_a_repeated_registration_gives_the_same(
    tracker: Tracker, make_package: MakePackage
) -> None:
    one, two = make_package("a"), make_package("b")
    assert tracker.register(one, run_id="flights-1", metrics={}) == "1"
    assert tracker.register(two, run_id="flights-2", metrics={}) == "2"
    assert tracker.register(one, run_id="flights-1", metrics={}) == "1"
    assert tracker.register(one, run_id="flights-3", metrics={}) == "3"


def test_a_damaged_package_is_not_registered(tracker: Tracker, make_package: MakePackage) -> None:
    folder = make_package("a")
    (folder / "model.onnx").write_bytes(b"b")
    with pytest.raises(ModelPackageError, match="damaged"):
        tracker.register(folder, run_id="flights-1", metrics={})
    with pytest.raises(TrackingError, match="flights has no version 1"):
        tracker.package("1")


def test_a_damaged_copy_is_fetched_again_and_a_damaged_original_refused(
    tracker: Tracker, make_package: MakePackage, tmp_path: Path
) -> None:
    version = tracker.register(make_package("a"), run_id="flights-1", metrics={})
    copy = tracker.package(version)
    (copy / "model.onnx").write_bytes(b"damaged")
    assert (tracker.package(version) / "model.onnx").read_bytes() == b"a"
    (original,) = (tmp_path / "home" / "artifacts").rglob("model.onnx")
    original.write_bytes(b"damaged")
    shutil.rmtree(copy)
    with pytest.raises(ModelPackageError, match="damaged"):
        tracker.package(version)


def test_at_first_there_is_no_champion(tracker: Tracker) -> None:
    assert tracker.champion() is None
    assert tracker.champion_since() is None
    assert tracker.challenger() is None


def test_the_champion_has_a_date_and_other_processes_see_both(
    uri: str, tracker: Tracker, make_package: MakePackage
) -> None:
    for name in "ab":
        tracker.register(make_package(name), run_id=f"flights-{name}", metrics={})
    tracker.set_champion("1", expected=None)
    assert tracker.champion_since() == datetime(2026, 1, 2, tzinfo=UTC)
    tracker.set_champion("2", expected="1")
    other = Tracker(uri, "flights")
    assert other.champion() == "2"
    assert other.champion_since() == datetime(2026, 1, 3, tzinfo=UTC)


def test_the_champion_before_is_one_that_was_champion_and_leads_back_only(
    tracker: Tracker, make_package: MakePackage
) -> None:
    assert tracker.former_champion() is None
    for name in "abcd":
        tracker.register(make_package(name), run_id=f"run-{name}", metrics={})
    for version, expected in (("1", None), ("2", "1"), ("4", "2")):  # 3 never was
        tracker.set_champion(version, expected=expected)
    assert tracker.former_champion() == "2"
    assert tracker.champions() == ["1", "2", "4"]
    tracker.set_champion("2", expected="4")
    assert tracker.former_champion() == "1"
    tracker.set_champion("1", expected="2")
    assert tracker.former_champion() is None


def test_the_champion_before_is_never_one_that_was_left_for_another(
    tracker: Tracker, make_package: MakePackage
) -> None:
    for name in "abcd":
        tracker.register(make_package(name), run_id=f"run-{name}", metrics={})
    for version, expected in (("1", None), ("2", "1"), ("1", "2"), ("3", "1")):  # 2 was bad
        tracker.set_champion(version, expected=expected)
    assert tracker.former_champion() == "1"
    tracker.set_champion("2", expected="3")  # by its number, past the bad 3
    assert tracker.former_champion() == "1"
    tracker.set_champion("1", expected="2")
    assert tracker.former_champion() is None


def test_a_promotion_that_failed_halfway_makes_no_champion_before(
    tracker: Tracker, make_package: MakePackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        tracker.register(make_package(name), run_id=f"run-{name}", metrics={})
    tracker.set_champion("1", expected=None)

    def fails(*_: object) -> None:
        raise OSError("the registry is down")

    with monkeypatch.context() as patch:
        patch.setattr(tracker._store.client, "set_registered_model_alias", fails)
        with pytest.raises(TrackingError, match="the registry is down"):
            tracker.set_champion("2", expected="1")
    tracker.set_champion("3", expected="1")
    assert tracker.former_champion() == "1"


def test_a_promotion_against_another_champion_changes_nothing(
    tracker: Tracker, make_package: MakePackage
) -> None:
    for name in "abc":
        tracker.register(make_package(name), run_id=f"flights-{name}", metrics={})
    tracker.set_champion("1", expected=None)
    since = tracker.champion_since()
    for version, expected in (("2", None), ("3", "2")):
        with pytest.raises(PromotionConflict, match=f"version {version} was to follow champion"):
            tracker.set_champion(version, expected=expected)
    assert (tracker.champion(), tracker.champion_since()) == ("1", since)


def test_the_champion_promoted_again_keeps_its_date(
    tracker: Tracker, make_package: MakePackage
) -> None:
    tracker.register(make_package("a"), run_id="flights-1", metrics={})
    tracker.set_champion("1", expected=None)
    since = tracker.champion_since()
    tracker.set_champion("1", expected="1")
    assert (tracker.champion(), tracker.champion_since()) == ("1", since)


def test_a_version_that_is_not_there_is_not_promoted(
    tracker: Tracker, make_package: MakePackage
) -> None:
    tracker.register(make_package("a"), run_id="flights-1", metrics={})
    with pytest.raises(TrackingError, match="flights has no version 7"):
        tracker.set_champion("7", expected=None)
    assert tracker.champion() is None


def test_a_crash_within_a_promotion_leaves_the_old_champion_with_its_date(
    tracker: Tracker, make_package: MakePackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        tracker.register(make_package(name), run_id=f"flights-{name}", metrics={})
    tracker.set_champion("1", expected=None)
    since = tracker.champion_since()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    client = tracker._store.client
    with monkeypatch.context() as patch:
        patch.setattr(client, "set_registered_model_alias", crash)
        with pytest.raises(KeyboardInterrupt):
            tracker.set_champion("2", expected="1")
    assert (tracker.champion(), tracker.champion_since()) == ("1", since)
    tracker.set_champion("2", expected="1")
    assert tracker.champion() == "2"


def test_a_challenger_is_named_until_it_is_promoted_or_withdrawn(
    tracker: Tracker, make_package: MakePackage
) -> None:
    for name in "ab":
        tracker.register(make_package(name), run_id=f"flights-{name}", metrics={})
    tracker.set_challenger("1")
    assert tracker.challenger() == "1"
    tracker.set_champion("1", expected=None)
    assert tracker.challenger() is None
    tracker.set_challenger("2")
    tracker.set_challenger(None)
    tracker.set_challenger(None)
    assert tracker.challenger() is None
    assert tracker.champion() == "1"


def test_of_two_processes_that_promote_at_once_exactly_one_wins(
    uri: str, tracker: Tracker, make_package: MakePackage
) -> None:
    for name in "abc":
        tracker.register(make_package(name), run_id=f"flights-{name}", metrics={})
    with _racer(uri) as one, _racer(uri) as two:
        racers = [one, two]
        assert [_line(racer) for racer in racers] == ["ready", "ready"]
        for _ in range(_ROUNDS):
            before = tracker.champion() or "none"
            versions = [v for v in "123" if v != before][:2]
            for racer, version in zip(racers, versions, strict=True):
                _say(racer, f"{version} {before}")
            outcomes = [_line(racer) for racer in racers]
            assert sorted(outcomes) == ["lost", "won"]
            assert tracker.champion() == versions[outcomes.index("won")]


def _racer(uri: str) -> subprocess.Popen[str]:
    """A process that for each line promotes a version over the champion it is told to expect."""
    command = [sys.executable, "-c", _RACER, uri]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _say(racer: subprocess.Popen[str], text: str) -> None:
    assert racer.stdin is not None
    racer.stdin.write(text + "\n")
    racer.stdin.flush()


def _line(racer: subprocess.Popen[str]) -> str:
    assert racer.stdout is not None
    return racer.stdout.readline().strip()


def test_a_lock_that_is_not_given_back_is_named(
    uri: str, make_package: MakePackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_LOCK_SECONDS", 0.2)
    registry = Tracker(uri, "flights", lock=tmp_path / "promotion.lock")
    registry.register(make_package("a"), run_id="flights-1", metrics={})
    with (
        FileLock(tmp_path / "promotion.lock"),
        pytest.raises(TrackingError, match=r"promotion\.lock: locked by another process"),
    ):
        registry.set_champion("1", expected=None)
    assert registry.champion() is None


@pytest.mark.parametrize("uri_text", ["mlruns", "postgres://x", "file:///tmp/mlruns"])
def test_a_uri_that_is_none_of_ours_is_refused_with_the_setting(uri_text: str) -> None:
    with pytest.raises(TrackingError, match="set KONTINUAL_TRACKING"):
        Tracker(uri_text, "flights")


def test_a_registry_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is no database at all, whatever its name says")
    with pytest.raises(TrackingError, match=r"mlflow\.db can not be opened"):
        Tracker(f"sqlite:///{tmp_path}/mlflow.db", "flights").champion()

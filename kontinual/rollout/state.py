"""What a rollout has done and will do next, and the folder where that is kept."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from kontinual.errors import KontinualError
from kontinual.rollout.counts import Comparison, CounterWatch
from kontinual.settings import Settings
from kontinual.spec import Outcome, RolloutStep

__all__ = [
    "FolderStore",
    "Phase",
    "RolloutBusy",
    "RolloutState",
    "RolloutStore",
    "abort_note",
    "read_state",
]


LOOK_SECONDS = 10.0


class RolloutBusy(KontinualError):
    """Another process is at work on a rollout of this loop."""


class Phase(StrEnum):
    """What is being done. It is written down before it is begun, and can be begun again."""

    DEPLOYING = "deploying"
    MEASURING = "measuring"  # reading the counters a step begins with
    OBSERVING = "observing"
    PROMOTING = "promoting"
    RETIRING = "retiring"
    DONE = "done"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"

    @property
    def ended(self) -> bool:
        return self in {Phase.DONE, Phase.ROLLED_BACK}


class RolloutState(BaseModel):
    """A rollout between two of its actions."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    loop: str
    champion: str | None
    owner: str | None = Field(description="the champion when the registry was last heard")
    challenger: str
    score_gap: float = Field(
        default=0.0, description="mean score of the challenger less the champion's, as evaluated"
    )
    packages: dict[str, Path] = Field(description="model package of either version")
    phase: Phase = Phase.DEPLOYING
    step: int = Field(default=0, ge=0, description="index into the plan's weights")
    step_started_at: AwareDatetime | None = None
    last_verdict: str = Field(default="", description="what the last look at a step came to")
    steps: list[RolloutStep] = Field(default_factory=list, description="steps that have ended")
    shared: list[Comparison] = Field(default_factory=list, description="counts of these")
    watch: CounterWatch | None = None
    reason: str = ""
    started_at: AwareDatetime
    updated_at: AwareDatetime

    @property
    def promoted(self) -> bool:
        """Is the challenger champion, whatever is left to clean up?"""
        return self.phase in {Phase.RETIRING, Phase.DONE}

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, or None when it goes on."""
        return {Phase.DONE: Outcome.PROMOTED, Phase.ROLLED_BACK: Outcome.ROLLED_BACK}.get(
            self.phase
        )


class RolloutStore(Protocol):
    """One loop's rollout: its state, its lock, and a wish to abort it."""

    def load(self) -> RolloutState | None:
        """The last rollout, ended or not; None before the first.

        Raises:
            KontinualError: what is there is no such state.
        """

    def save(self, state: RolloutState) -> None:
        """Replace the state by a whole new one, durable when this returns."""

    def lock(self, *, timeout: float = 0.0) -> AbstractContextManager[None]:
        """Be the only one at work; the lock of a process that dies becomes free.

        Raises:
            RolloutBusy: another has it, still after `timeout` seconds.
        """

    def busy(self) -> bool:
        """Is a process at work on the rollout now?"""

    def ask_to_abort(self, who: str) -> None:
        """Leave word for the process at work."""

    def asked_to_abort(self) -> str | None:
        """Who asked, if someone did."""

    def forget_abort(self) -> None:
        """Take the word back."""


def read_state(text: str | bytes, *, place: str) -> RolloutState:
    """A state as it was saved.

    Raises:
        KontinualError: it is none; names the place.
    """
    try:
        return RolloutState.model_validate_json(text)
    except ValidationError as exc:
        raise KontinualError(
            f"{place}: not the state of a rollout: {exc}. "
            "Look at it, then move it away; the next rollout sets the champion to 100 % anew"
        ) from exc


def abort_note(who: str) -> str:
    """What is left for the process at work: who asked, and when."""
    return f"{who} at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


class FolderStore:
    """A `RolloutStore` in one folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "rollout.json"
        self._abort = folder / "abort"
        self._at_work = folder / "at-work.lock"

    @classmethod
    def of(cls, settings: Settings, loop: str) -> "FolderStore":
        """The place of a loop's rollout on this machine."""
        return cls(settings.home.resolve() / "rollout" / loop)

    def load(self) -> RolloutState | None:
        try:
            return read_state(self.path.read_bytes(), place=str(self.path))
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise KontinualError(f"{self.path}: the state can not be read: {exc}") from exc

    def save(self, state: RolloutState) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self.folder, prefix=".rollout.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(state.model_dump_json(indent=2))
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(self.path)

    @contextmanager
    def lock(self, *, timeout: float = 0.0) -> Iterator[None]:
        """Be the only one at work; the system frees the locks of a process that dies."""
        try:
            # One of its own for each caller: within one process, too, there is one at work.
            with FileLock(self.folder / "rollout.lock").acquire(timeout=timeout), self._seen():
                yield
        except Timeout as exc:
            raise RolloutBusy(
                f"{self.folder}: another process is at work on this loop's rollout; "
                "wait for it, or end it by `kontinual rollout abort`"
            ) from exc

    def _seen(self) -> AbstractContextManager[object]:
        """A second lock for others to look at: who looks has it a moment, and is waited for."""
        return FileLock(self._at_work).acquire(timeout=LOOK_SECONDS, poll_interval=0.005)

    def busy(self) -> bool:
        if not self.folder.is_dir():
            return False
        try:
            with FileLock(self._at_work).acquire(timeout=0):
                return False
        except Timeout:
            return True

    def ask_to_abort(self, who: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._abort.write_text(abort_note(who), "utf-8")

    def asked_to_abort(self) -> str | None:
        try:
            return self._abort.read_text("utf-8")
        except FileNotFoundError:
            return None

    def forget_abort(self) -> None:
        self._abort.unlink(missing_ok=True)

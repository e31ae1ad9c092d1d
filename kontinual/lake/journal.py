"""What the stations of one run wrote down: small JSON files, each written at once."""

import json
import re
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from kontinual.errors import LakeError
from kontinual.lake.store import Store
from kontinual.spec import Outcome, RunRecord

__all__ = ["RunJournal"]

_RECORD, _JOB = "record", "job"
_NAME = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,120}[a-z0-9])?")


class RunJournal:
    """Notes and the final record of one run, below `runs/<run_id>/`."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.run_id = _checked(run_id, "run id")
        self._store = store
        self._folder = f"runs/{run_id}"

    def note(self, station: str, facts: dict[str, Any]) -> None:
        """Keep what a station has to say, in place of what it said before.

        Raises:
            LakeError: the name is no file name, or the facts are not JSON.
        """
        if _checked(station, "station") in {_RECORD, _JOB}:
            raise LakeError(f"{station!r} is no station: finish() and take() write it")
        try:
            text = json.dumps(facts, indent=2, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise LakeError(f"run {self.run_id}: the note of {station} is not JSON: {exc}") from exc
        self._store.write(f"{self._folder}/{station}.json", text.encode())

    def notes(self) -> dict[str, dict[str, Any]]:
        """All notes by station."""
        names = [n.removesuffix(".json") for n in self._store.names(self._folder)]
        return {n: self._load(n) for n in names if n not in {_RECORD, _JOB}}

    def finish(self, record: RunRecord) -> RunRecord:
        """End the run.

        The first record stands, so that a repeated last step changes nothing;
        but one that says `failed` gives way, as a run taken up again may end well.

        Returns:
            The record that stands.
        """
        if record.id != self.run_id:
            raise LakeError(f"the record of run {record.id!r} is not for run {self.run_id!r}")
        kept = self.record()
        if kept is not None and kept.outcome is not Outcome.FAILED:
            return kept
        path = f"{self._folder}/{_RECORD}.json"
        self._store.write(path, record.model_dump_json(indent=2).encode())
        return record

    def take(self, job: str) -> bool:
        """Take the run for a job that works on it; the first job keeps it.

        Returns:
            Is the run this job's?
        """
        path = f"{self._folder}/{_JOB}.json"
        with suppress(FileExistsError):
            self._store.create(path, json.dumps({"job": job}).encode())
        return bool(self._load(_JOB)["job"] == job)

    def record(self) -> RunRecord | None:
        """How the run ended; None while it goes on."""
        path = f"{self._folder}/{_RECORD}.json"
        if not self._store.exists(path):
            return None
        try:
            return RunRecord.model_validate_json(self._store.read(path))
        except ValidationError as exc:
            raise LakeError(f"{self._store.url(path)}: no run record: {exc}") from exc

    def _load(self, station: str) -> dict[str, Any]:
        path = f"{self._folder}/{station}.json"
        try:
            facts: dict[str, Any] = json.loads(self._store.read(path))
        except ValueError as exc:
            raise LakeError(f"{self._store.url(path)}: not JSON: {exc}") from exc
        return facts


def _checked(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise LakeError(
            f"a {what} is made of a-z, 0-9, `-`, `_` and `.`, starting and ending with "
            f"a letter or digit, but got {name!r}"
        )
    return name

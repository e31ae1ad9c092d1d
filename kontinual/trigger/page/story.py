"""What the page tells, put together from the ledger, the runs' notes and Prometheus' figures."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from kontinual.errors import KontinualError
from kontinual.spec import Outcome, RolloutStep, RunRecord
from kontinual.trigger import rows, tables
from kontinual.trigger.chain import Entry, EntryKind
from kontinual.trigger.contracts import Run, RunState, Trigger
from kontinual.trigger.page.chart import Chart, Mark, draw
from kontinual.trigger.page.evidence import Judged, judged
from kontinual.trigger.page.figures import Figures
from kontinual.trigger.service import TriggerService
from kontinual.trigger.views import Status

__all__ = ["Notes", "RunStory", "Step", "Story", "Teller", "TriggerStory", "Version", "no_notes"]

Notes = Callable[[str], Mapping[str, Mapping[str, Any]]]
"""What the steps of a run wrote down, by step; may raise KontinualError."""


def no_notes(_run_id: str) -> Mapping[str, Mapping[str, Any]]:
    """Notes where no run writes any."""
    return {}


SHOWN = 20  # triggers on one page
SHOWN_HELD = 5  # above all else; a storm can hold thousands for the same reason
LOOKED_BACK = 400  # entries of the chain, for what happened between the triggers
_ACTS = {
    EntryKind.LOOP_PAUSED: "paused the loop",
    EntryKind.LOOP_RESUMED: "resumed the loop",
    EntryKind.CIRCUIT_CLOSED: "closed the circuit",
    EntryKind.TRIGGER_APPROVED: "approved trigger",
    EntryKind.RUN_STOP_ASKED: "asked to stop run",
}


@dataclass(frozen=True)
class Step:
    """One station of a run: `state` is done, running or failed."""

    name: str
    state: str
    seconds: float | None
    error: str | None


@dataclass(frozen=True)
class RunStory:
    """A run with its steps."""

    run: Run
    steps: list[Step]
    unread: str | None  # why there are no steps, if they can not be read
    link: str | None

    @property
    def goes_on(self) -> bool:
        return self.run.state is not RunState.ENDED

    @property
    def weights(self) -> list[RolloutStep]:
        return self.run.record.steps if self.run.record else []


@dataclass(frozen=True)
class TriggerStory:
    """A trigger with its decision, all earlier ones, and the run it became."""

    at: datetime
    trigger: Trigger
    judged: Judged
    history: list[Entry]
    run: RunStory | None


@dataclass(frozen=True)
class ActStory:
    """What a person did."""

    at: datetime
    by: str
    did: str
    reason: str


@dataclass(frozen=True)
class Version:
    """A version, where it stands, and the weights by which it came there."""

    name: str
    standing: str
    run: str | None
    weights: list[RolloutStep]
    traffic: float | None
    roc_auc: float | None
    can_return: bool


@dataclass(frozen=True)
class Story:
    """All that the page shows of a loop."""

    status: Status
    held: list[TriggerStory]
    more_held: int
    running: list[RunStory]
    timeline: list[TriggerStory | ActStory]
    earlier: int | None
    versions: list[Version]
    figures: Figures
    chart: Chart | None

    @property
    def is_live(self) -> bool:
        return bool(self.running)


class Teller:
    """Tells the story of one loop.

    Args:
        service: of the loop.
        notes: of its runs.
    """

    def __init__(self, service: TriggerService, notes: Notes) -> None:
        self._service = service
        self._notes = notes
        self._ended = lru_cache(maxsize=256)(self._steps)

    def tell(self, figures: Figures, *, before: int | None = None) -> Story:
        """The story as it stands; the timeline of triggers before one, if that is given.

        Raises:
            LedgerError: the ledger can not be read.
        """
        ledger = self._service.ledger
        status = self._service.status()
        runs = ledger.runs()
        shown = ledger.triggers(before=before, limit=SHOWN)
        held = ledger.triggers(only_open=True)
        history = self._history(shown, before)
        told = {r.id: self._run(r) for r in runs if r.ended_at is None or _of_any(r, shown)}
        return Story(
            status=status,
            held=[self._trigger(t, [], told) for t in held[-SHOWN_HELD:][::-1]],
            more_held=max(0, len(held) - SHOWN_HELD),
            running=[r for r in told.values() if r.goes_on],
            timeline=self._timeline(shown, history, told),
            earlier=shown[0].id if shown and shown[0].id > 1 else None,
            versions=_versions(runs, status.champion, figures),
            figures=figures,
            chart=draw(figures, _marks(runs)),
        )

    def _timeline(
        self, shown: list[Trigger], history: list[Entry], told: Mapping[str, RunStory]
    ) -> list[TriggerStory | ActStory]:
        """Newest first."""
        stories: list[TriggerStory | ActStory] = [_act(e) for e in history if e.kind in _ACTS]
        for trigger in shown:
            own = [e for e in history if e.body.get("trigger") == trigger.id]
            stories.append(self._trigger(trigger, own, told))
        return sorted(stories, key=_newest, reverse=True)

    def _trigger(
        self, trigger: Trigger, history: list[Entry], told: Mapping[str, RunStory]
    ) -> TriggerStory:
        decided = [e for e in history if e.kind is EntryKind.TRIGGER_DECIDED]
        run = told.get(trigger.run or "")
        own = run if run is not None and run.run.trigger == trigger.id else None
        return TriggerStory(trigger.received_at, trigger, judged(trigger), decided, own)

    def _history(self, shown: list[Trigger], before: int | None) -> list[Entry]:
        """Entries since the first trigger shown, and up to the last if it is not the newest."""
        if not shown:
            since, until = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        else:
            since = shown[0].received_at
            until = shown[-1].received_at if before else datetime.max.replace(tzinfo=UTC)
        with self._service.ledger.reading() as connection:
            found = []
            for chain in (self._service.loop.name, tables.EVERY_LOOP):
                head = rows.head(connection, chain)
                after = max(0, head[0] - LOOKED_BACK) if head else 0
                found += [
                    rows.to_entry(row) for row in rows.entries(connection, chain, after=after)
                ]
        return [e for e in found if since <= datetime.fromisoformat(e.at) <= until]

    def _run(self, run: Run) -> RunStory:
        link = (run.process or {}).get("url")
        safe = link if isinstance(link, str) and link.startswith(("http://", "https://")) else None
        try:
            steps = self._ended(run.id) if run.ended_at else self._steps(run.id)
        except KontinualError as exc:
            return RunStory(run, [], str(exc), safe)
        return RunStory(run, steps, None, safe)

    def _steps(self, run_id: str) -> list[Step]:
        noted = self._notes(run_id)
        begun = sorted(noted.items(), key=lambda n: str(n[1].get("started_at", "")))
        return [_step(name, facts) for name, facts in begun if "started_at" in facts]


def _newest(story: TriggerStory | ActStory) -> tuple[datetime, int]:
    """Of triggers that came together the later number is the newer."""
    return story.at, story.trigger.id if isinstance(story, TriggerStory) else 0


def _of_any(run: Run, shown: Iterable[Trigger]) -> bool:
    return any(t.run == run.id for t in shown)


def _step(name: str, facts: Mapping[str, Any]) -> Step:
    error = facts.get("error")
    ended = facts.get("ended_at")
    if ended is None:
        return Step(name, "running", None, None)
    took = datetime.fromisoformat(ended) - datetime.fromisoformat(facts["started_at"])
    state = "failed" if error is not None else "done"
    return Step(name, state, took.total_seconds(), None if error is None else str(error))


def _act(entry: Entry) -> ActStory:
    act, did = entry.body["act"], _ACTS[entry.kind]
    if entry.loop == tables.EVERY_LOOP:
        did = did.replace("the loop", "all loops")
    of = entry.body.get("trigger", entry.body.get("run"))
    did = did if of is None else f"{did} {of}"
    return ActStory(datetime.fromisoformat(entry.at), act["by"], did, act["reason"])


def _versions(runs: Iterable[Run], champion: str | None, figures: Figures) -> list[Version]:
    """Newest first. Without a run of ours there may still be a champion, and traffic."""
    records = [run.record for run in runs if run.record is not None]
    served = {r.champion for r in records if r.outcome.changed_champion}
    # A version's own run is the first that names it: a rollback comes later.
    made = {r.version: r for r in reversed(records) if r.version is not None}
    latest = {line.version: line.points[-1][1] for line in figures.quality}
    names = {v for v in (*made, champion, *figures.traffic, *served) if v}
    return [
        Version(
            name=name,
            standing=_standing(name, champion, made.get(name), served, figures),
            run=made[name].id if name in made else None,
            weights=made[name].steps if name in made else [],
            traffic=figures.traffic.get(name),
            roc_auc=latest.get(name),
            can_return=name != champion and name in served,
        )
        for name in sorted(names, key=lambda n: (len(n), n), reverse=True)
    ]


def _standing(
    name: str,
    champion: str | None,
    record: RunRecord | None,
    served: set[str | None],
    figures: Figures,
) -> str:
    if name == champion:
        return "champion"
    if name in served:
        return "was champion"
    if record is not None:
        return "refused" if record.outcome is Outcome.REJECTED_MODEL else _words(record.outcome)
    return "canary" if figures.traffic.get(name, 0) > 0 else "known to Prometheus"


def _words(outcome: Outcome) -> str:
    return outcome.value.replace("_", " ")


def _marks(runs: Iterable[Run]) -> list[Mark]:
    """When a version took over, was put back, or was rolled back."""
    marks = []
    for run in runs:
        record = run.record
        if record is None or run.ended_at is None:
            continue
        if record.outcome.changed_champion:
            marks.append(Mark(run.ended_at.timestamp(), f"v{record.champion}", True))
        elif record.outcome is Outcome.ROLLED_BACK:
            marks.append(Mark(run.ended_at.timestamp(), f"v{record.version} back", False))
    return marks

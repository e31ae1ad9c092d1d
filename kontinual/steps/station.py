"""What every step of a run shares: the loop, the lake, and a page in the run's journal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kontinual.home import settings_of
from kontinual.lake import Lake, RunJournal
from kontinual.masking import masked
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop, utc_text

__all__ = ["Station", "station"]

log = logging.getLogger("kontinual.steps")


@dataclass
class Station:
    """One step of one run at work."""

    name: str
    url: str
    run_id: str
    loop: Loop
    lake: Lake
    settings: Settings
    journal: RunJournal
    facts: dict[str, Any] = field(default_factory=dict)

    def note(self, **facts: Any) -> None:
        """Write facts (JSON values) into the journal, at once: the step may be killed."""
        self.facts.update(facts)
        self.journal.note(self.name, self.facts)
        log.info("%s: %s", self.name, ", ".join(f"{k}={v}" for k, v in facts.items()))


@contextmanager
def station(name: str, loop_url: str, run_id: str) -> Iterator[Station]:
    """Work on one step; its start, end, facts and error are journalled whatever happens.

    Raises:
        SpecError: the declaration is wrong; nothing is journalled then.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    loop, settings = load_loop(loop_url), settings_of(loop_url)
    lake = Lake(settings.lake_url, loop)
    at_work = Station(name, loop_url, run_id, loop, lake, settings, lake.journal(run_id))
    at_work.facts["started_at"] = utc_text(datetime.now(UTC))
    at_work.journal.note(name, at_work.facts)
    try:
        yield at_work
    except BaseException as exc:
        at_work.facts["error"] = masked(f"{type(exc).__name__}: {exc}")
        raise
    finally:
        at_work.facts["ended_at"] = utc_text(datetime.now(UTC))
        at_work.journal.note(name, at_work.facts)

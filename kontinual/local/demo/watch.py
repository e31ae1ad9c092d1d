"""Looking at the loop from outside: what the trigger decided, what fires, what runs."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from kontinual.settings import Settings
from kontinual.spec import Action

__all__ = ["Watch"]

log = logging.getLogger("kontinual.demo")
LONGEST_WAY = timedelta(seconds=20)  # of an alert to the trigger; one that is lost holds up nothing


@dataclass
class Watch:
    """The last that was seen; what can not be reached keeps its last value."""

    settings: Settings
    triggers: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    champion: str | None = None
    run_in_progress: str | None = None

    async def refresh(self, client: httpx.AsyncClient) -> None:
        """Ask trigger and Prometheus once."""
        try:
            trigger = self.settings.trigger
            status = (await client.get(f"{trigger}/api/v1/status")).raise_for_status().json()
            self.triggers = (await client.get(f"{trigger}/api/v1/triggers")).json()
            self.runs = (await client.get(f"{trigger}/api/v1/runs")).json()
            self.run_in_progress = status["run_in_progress"]
            self.champion = status["champion"]
            alerts = (await client.get(f"{self.settings.prometheus}/api/v1/alerts")).json()
            self.alerts = [
                a
                for a in alerts["data"]["alerts"]
                if a["state"] == "firing" and "kind" in a["labels"]
            ]
        except (httpx.HTTPError, KeyError, ValueError) as exc:
            log.debug("the loop can not be looked at now: %s", exc)

    @property
    def firing(self) -> list[str]:
        """The kinds of alerts that fire."""
        return sorted({a["labels"]["kind"] for a in self.alerts})

    @property
    def busy(self) -> bool:
        """Is the loop at something that takes it seconds or minutes, whatever the demo's pace?

        That is a run, and before it the way of an alert from Prometheus to the trigger's word.
        """
        return self.run_in_progress is not None or any(map(self._is_on_its_way, self.alerts))

    def _is_on_its_way(self, alert: dict[str, Any]) -> bool:
        """Does it ask for a run, and has the trigger said nothing of it yet?"""
        since = datetime.fromisoformat(alert["activeAt"])
        asks = alert["labels"]["action"] != Action.NOTIFY
        recent = datetime.now(UTC) - since < LONGEST_WAY
        return asks and recent and not any(_answers(t, alert, since) for t in self.triggers)

    @property
    def accepted_open(self) -> bool:
        """Is there a trigger that was accepted, whose run has not ended yet?"""
        ended = {r["id"] for r in self.runs if r.get("outcome")}
        accepted = (t for t in self.triggers if t["decision"] == "accept")
        return any(t["run"] not in ended for t in accepted)

    async def follow(self, on_look: Any, *, every_seconds: float = 0.5) -> None:
        """Refresh for ever; `on_look()` is called after each look."""
        async with httpx.AsyncClient(timeout=5) as client:
            while True:
                await self.refresh(client)
                on_look()
                await asyncio.sleep(every_seconds)


def _answers(trigger: dict[str, Any], alert: dict[str, Any], since: datetime) -> bool:
    """Is a trigger this alert's, since when it is true, and is it examined?"""
    if trigger["starts_at"] is None or trigger["rule"] == "not_examined":
        return False
    # Prometheus tells its own API nanoseconds, Alertmanager and the trigger fewer digits.
    began = datetime.fromisoformat(trigger["starts_at"]) >= since - timedelta(milliseconds=1)
    return began and alert["labels"].items() <= trigger["labels"].items()

"""Looking at the loop from outside: what the trigger decided, what fires, what runs."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import httpx

from kontinual.settings import Settings

__all__ = ["Watch"]

log = logging.getLogger("kontinual.demo")


@dataclass
class Watch:
    """The last that was seen; what can not be reached keeps its last value."""

    settings: Settings
    triggers: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    firing: list[str] = field(default_factory=list)
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
            self.firing = sorted(
                {
                    a["labels"]["kind"]
                    for a in alerts["data"]["alerts"]
                    if a["state"] == "firing" and "kind" in a["labels"]
                }
            )
        except (httpx.HTTPError, KeyError, ValueError) as exc:
            log.debug("the loop can not be looked at now: %s", exc)

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

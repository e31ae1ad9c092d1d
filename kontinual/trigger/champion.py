"""Keeping the champion's gauges true to the registry."""

import gc
import logging
import threading
from datetime import datetime
from typing import Protocol

from kontinual.trigger.metrics import TriggerMetrics

__all__ = ["ChampionSource", "ChampionWatch"]

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0


class ChampionSource(Protocol):
    """Knows the champion; `kontinual.tracking.Tracker` does."""

    def champion(self) -> str | None:
        """The champion's version, None when there is none."""
        ...

    def champion_since(self) -> datetime | None:
        """When it was promoted."""
        ...

    def former_champion(self) -> str | None:
        """The version that the champion took over from, None when there is none."""
        ...

    def champions(self) -> list[str]:
        """The versions that ever were champion."""
        ...


class ChampionWatch:
    """Reads the champion again and again; while that fails, the last one known stays."""

    stop_seconds = 1.0  # reading leaves nothing behind

    def __init__(
        self,
        source: ChampionSource,
        metrics: TriggerMetrics,
        *,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._source = source
        self._metrics = metrics
        self._every_seconds = every_seconds
        self._stopping = threading.Event()
        self._failing = False
        self.version: str | None = None

    def refresh(self) -> None:
        """Read the champion once; an error is counted, and logged when it begins."""
        try:
            version = self._source.champion()
            since = None if version is None else self._source.champion_since()
        except Exception as exc:  # whatever the registry's client raises
            self._metrics.count_error(exc, kind="champion")
            if not self._failing:
                log.warning("the champion can not be read, %s stays: %s", self.version, exc)
            self._failing = True
            return
        self._failing = False
        self.version = version
        self._metrics.set_champion(version, since)

    def run_forever(self) -> None:
        """Refresh until stopped."""
        self.refresh()
        _keep_what_is_loaded()
        while not self._stopping.wait(self._every_seconds):
            self.refresh()

    def stop(self) -> None:
        self._stopping.set()


def _keep_what_is_loaded() -> None:
    """Spare the collector what stays anyway.

    The registry's client brings so many objects that to look through them holds up every thread,
    and so every delivery, for a third of a second, several times in a storm.
    """
    gc.collect()
    gc.freeze()

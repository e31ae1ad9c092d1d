"""The steps of a rollout in seconds of the wall clock."""

from dataclasses import dataclass

from kontinual.spec import Rollout

__all__ = ["Plan"]

MIN_STEP_SECONDS = 3.0
MIN_TIMEOUT_SECONDS = 30.0
HURRIED_TIMEOUT_SECONDS = 120.0  # no speed-up makes a timeout shorter than this
MAX_POLL_SECONDS = 15.0


@dataclass(frozen=True)
class Plan:
    """When a step may end and when it must.

    However fast a loop's time passes, a step lasts a few seconds, and has minutes to gather
    its requests: those, scrapes and this machine do not speed up with it.
    """

    weights: tuple[int, ...]
    min_requests: int
    step_seconds: float
    timeout_seconds: float

    @property
    def poll_seconds(self) -> float:
        """Between two looks at a step: often enough for it, not more than Prometheus scrapes."""
        return min(max(self.step_seconds / 20, 0.5), MAX_POLL_SECONDS)

    @classmethod
    def of(cls, rollout: Rollout, *, speedup: float = 1.0) -> "Plan":
        """The plan of a declaration whose time passes `speedup` times as fast."""
        step = max(MIN_STEP_SECONDS, rollout.step_duration.total_seconds() / speedup)
        declared = rollout.step_timeout.total_seconds()
        hurried = max(declared / speedup, min(declared, HURRIED_TIMEOUT_SECONDS))
        timeout = max(MIN_TIMEOUT_SECONDS, hurried)
        return cls(
            tuple(rollout.steps), rollout.min_requests, step, max(timeout, step + MIN_STEP_SECONDS)
        )

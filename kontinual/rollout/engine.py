"""The rollout itself: a state machine whose every action is written down, then done.

```
deploying ─► measuring ─► observing ─► (next step: measuring …) ─► promoting ─► retiring ─► done
     │            │            │                                       │
     └────────────┴────────────┴────────────► rolling_back ◄───────────┘ ─► rolled_back
```

Because an action is idempotent and its phase is kept before it begins, a
process that died is taken up where it was (`resume`) or undone (`abort`). The
registry's champion is the truth: rolling back always means 100 % for it. While the
registry is silent, what it said last holds, unless it may have changed unseen. Once
the challenger is champion there is nothing to go back to, and both finish.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel
from tenacity import Retrying, stop_after_attempt, wait_exponential

from kontinual.errors import GatewayError, KontinualError
from kontinual.interrupt import Interrupted, sigterm_interrupts
from kontinual.rollout.gateway import Gateway, Metrics, Outcomes, Registry
from kontinual.rollout.observe import Observer
from kontinual.rollout.plan import Plan
from kontinual.rollout.state import Phase, RolloutState, RolloutStore
from kontinual.spec import Loop, Outcome, RolloutStep

__all__ = ["Engine", "RolloutResult"]

RETREAT_ATTEMPTS = 5
logger = logging.getLogger(__name__)


class RolloutResult(BaseModel):
    """How a rollout ended."""

    outcome: Outcome
    reason: str
    champion: str | None
    challenger: str
    steps: list[RolloutStep]

    @classmethod
    def of(cls, state: RolloutState) -> "RolloutResult":
        """The result of a rollout that has ended, or is as good as ended."""
        return cls(
            outcome=Outcome.PROMOTED if state.promoted else Outcome.ROLLED_BACK,
            reason=state.reason,
            champion=state.challenger if state.promoted else state.champion,
            challenger=state.challenger,
            steps=state.steps,
        )


@dataclass(frozen=True)
class Engine:
    """Drives one rollout at a time from phase to phase."""

    loop: Loop
    gateway: Gateway
    metrics: Metrics
    outcomes: Outcomes
    registry: Registry
    store: RolloutStore
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    speedup: float = 1.0

    def start(
        self, champion: str | None, challenger: str, *, score_gap: float = 0.0
    ) -> RolloutState:
        """Write down a new rollout, before anything is done."""
        now = self.clock()
        versions = [v for v in (champion, challenger) if v is not None]
        state = RolloutState(
            loop=self.loop.name,
            champion=champion,
            owner=champion,
            challenger=challenger,
            score_gap=score_gap,
            packages={v: self.registry.package(v) for v in versions},
            started_at=now,
            updated_at=now,
        )
        self.store.forget_abort()
        self.store.save(state)
        return state

    def run(self, state: RolloutState) -> RolloutResult:
        """Go on until the rollout has ended.

        SIGTERM and Ctrl-C roll back, then end the process as they should. After a
        kill that can not be caught the state stays, for `resume` or `abort`.
        """
        with sigterm_interrupts():
            try:
                self._finish(state)
            except (KeyboardInterrupt, Interrupted) as exc:
                self.undo(state, f"interrupted by {str(exc) or 'Ctrl-C'}")
                self._finish(state)
                raise
        return RolloutResult.of(state)

    def undo(self, state: RolloutState, reason: str) -> None:
        """Roll back, or finish if the challenger is champion already.

        Raises:
            Exception: what ails the registry, where it alone knows the champion.
        """
        if state.phase.ended:
            return
        swapped = self._champion(state) == state.challenger
        self._enter(state, Phase.RETIRING if swapped else Phase.ROLLING_BACK, reason)

    def _finish(self, state: RolloutState) -> None:
        while not state.phase.ended:
            if state.phase is Phase.ROLLING_BACK:
                self._persistently(self._roll_back, state)
            elif state.phase is Phase.RETIRING:
                try:
                    self._persistently(self._retire, state)
                except Exception as exc:  # the challenger is champion, whatever else is left
                    logger.warning("promoted, but not cleaned up: %s", exc, exc_info=exc)
                    state.reason = f"promoted; `kontinual rollout resume` has to clean up: {exc}"
                    self.store.save(state)
                    return
            else:
                self._advance(state)

    def _persistently(self, action: Callable[[RolloutState], None], state: RolloutState) -> None:
        """Retreat and cleaning have no safer way out, so they are tried again for a while."""
        retrying = Retrying(
            stop=stop_after_attempt(RETREAT_ATTEMPTS),
            wait=wait_exponential(max=4),
            sleep=self.sleep,
            reraise=True,
        )
        retrying(action, state)

    def _advance(self, state: RolloutState) -> None:
        actions = {
            Phase.DEPLOYING: self._deploy,
            Phase.MEASURING: self._measure,
            Phase.OBSERVING: self._observe,
            Phase.PROMOTING: self._promote,
        }
        asked = self.store.asked_to_abort()
        if asked:
            self.undo(state, f"aborted by {asked}")
            return
        try:
            actions[state.phase](state)
        except Exception as exc:
            logger.warning("rollout of %s: %s", state.challenger, exc, exc_info=exc)
            self.undo(state, _sentence(exc))

    def _deploy(self, state: RolloutState) -> None:
        actual = self._champion(state)
        if actual != state.champion:
            was = _champion_text(state.champion)
            reason = f"judged against {was}, but {_champion_text(actual)} is in the registry"
            self._enter(state, Phase.ROLLING_BACK, reason)
            return
        if state.champion is None:
            self.gateway.deploy(state.challenger, self._package(state, state.challenger))
            self._enter(state, Phase.PROMOTING)
            return
        self._give_all(state, state.champion)
        self.gateway.deploy(state.challenger, self._package(state, state.challenger))
        self._enter(state, Phase.MEASURING)

    def _measure(self, state: RolloutState) -> None:
        """Note the counters before the weights move, so that no request is missed."""
        now = self.clock()
        state.step_started_at = state.step_started_at or now
        if self._observer.begin(state):
            state.step_started_at = now
            self._enter(state, Phase.OBSERVING)
        elif (now - state.step_started_at).total_seconds() > self._observer.plan.timeout_seconds:
            self._enter(state, Phase.ROLLING_BACK, state.last_verdict)
        else:
            self.store.save(state)
            self.sleep(self._observer.plan.poll_seconds)

    def _observe(self, state: RolloutState) -> None:
        plan = self._observer.plan
        weight = plan.weights[state.step]
        wanted = {state.champion or "": 100 - weight, state.challenger: weight}
        wanted = {version: share for version, share in wanted.items() if share}
        if self.gateway.weights() != wanted:
            self.gateway.shift(wanted)
        ended = self._observer.look(state, self.clock())
        if ended is None:
            self.store.save(state)
            self.sleep(self._observer.plan.poll_seconds)
            return
        state.steps = [*state.steps, ended]
        if ended.verdict != "passed":
            self._enter(state, Phase.ROLLING_BACK, f"at {weight} %: {ended.reason}")
            return
        self._observer.keep(state)
        state.step_started_at = None
        if state.step + 1 == len(plan.weights):
            self._enter(state, Phase.PROMOTING)
        else:
            state.step += 1
            self._enter(state, Phase.MEASURING)

    def _promote(self, state: RolloutState) -> None:
        if self.gateway.weights() != {state.challenger: 100}:
            self.gateway.shift({state.challenger: 100})
        if self.registry.champion() != state.challenger:
            self.registry.set_champion(state.challenger, expected=state.champion)
        state.owner = state.challenger
        self._enter(state, Phase.RETIRING)

    def _retire(self, state: RolloutState) -> None:
        champion = self._champion(state)
        if champion != state.challenger:
            self._enter(state, Phase.ROLLING_BACK, f"{_champion_text(champion)} took over since")
            return
        self._give_all(state, state.challenger)
        if state.champion is not None:
            self.gateway.retire(state.champion)
        elif not state.steps:
            state.steps = [self._first_step(state)]
        self._enter(state, Phase.DONE, _promotion(state))

    def _first_step(self, state: RolloutState) -> RolloutStep:
        return RolloutStep(
            weight=100,
            verdict="passed",
            reason="there was no champion to compare with",
            requests=0,
            started_at=state.started_at,
            ended_at=self.clock(),
        )

    def _roll_back(self, state: RolloutState) -> None:
        """All traffic to the registry's champion first, then away with the rest."""
        champion = self._champion(state)
        if champion is None:
            self.gateway.shift({})
        else:
            self._give_all(state, champion)
        for version in {state.challenger, state.champion} - {champion, None}:
            self.gateway.retire(version)  # type: ignore[arg-type]  # None was taken out
        self._enter(state, Phase.ROLLED_BACK)

    def _give_all(self, state: RolloutState, version: str) -> None:
        """All traffic to one version, which is started only if the gateway has lost it."""
        try:
            self.gateway.shift({version: 100})
        except GatewayError:
            self.gateway.deploy(version, self._package(state, version))
            self.gateway.shift({version: 100})

    def _package(self, state: RolloutState, version: str) -> Path:
        """A rollout may be resumed on another machine, where the registry has to fetch it anew."""
        known = state.packages.get(version)
        return known if known and known.exists() else self.registry.package(version)

    def _champion(self, state: RolloutState) -> str | None:
        """Whom traffic belongs to. A silent registry stops no retreat, unless it alone knows.

        It does before it was first asked, and in the middle of a swap.
        """
        try:
            state.owner = self.registry.champion()
        except Exception:  # whatever ails the registry, traffic has to go back to somebody
            if state.phase in {Phase.DEPLOYING, Phase.PROMOTING}:
                raise
        return state.owner

    def _enter(self, state: RolloutState, phase: Phase, reason: str = "") -> None:
        state.phase = phase
        state.reason = reason or state.reason
        state.updated_at = self.clock()
        self.store.save(state)
        logger.info("rollout of %s: %s %s", state.challenger, phase.value, reason)

    @property
    def _observer(self) -> Observer:
        plan = Plan.of(self.loop.rollout, speedup=self.speedup)
        return Observer(self.metrics, self.outcomes, plan, self.loop.rollout)


def _sentence(exc: Exception) -> str:
    return str(exc) if isinstance(exc, KontinualError) else f"{type(exc).__name__}: {exc}"


def _champion_text(version: str | None) -> str:
    return "no champion" if version is None else f"champion {version}"


def _promotion(state: RolloutState) -> str:
    if state.champion is None:
        return f"version {state.challenger} is the first champion"
    passed = "passed every step and " if state.steps else ""  # a rollback has none
    done = f"version {state.challenger} {passed}took over from {state.champion}"
    return f"{done} (then {state.reason}, too late to undo)" if state.reason else done

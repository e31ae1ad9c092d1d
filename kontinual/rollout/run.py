"""Begin, resume or abort a rollout: the three things one can ask for."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from kontinual.errors import GatewayError, KontinualError
from kontinual.rollout.engine import Engine, RolloutResult
from kontinual.rollout.gateway import Gateway, Metrics, Outcomes, Registry
from kontinual.rollout.state import RolloutStore
from kontinual.spec import Loop

__all__ = ["abort", "resume", "rollout", "utc_now"]

ABORT_WAIT_SECONDS = 120.0


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def rollout(
    loop: Loop,
    *,
    champion: str | None,
    challenger: str,
    score_gap: float = 0.0,
    gateway: Gateway,
    metrics: Metrics,
    outcomes: Outcomes,
    registry: Registry,
    store: RolloutStore,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    speedup: float = 1.0,
) -> RolloutResult:
    """Shift traffic to a challenger step by step, and make it champion, or put all back.

    A rollout that was left unfinished is settled first: undone, or finished if
    its challenger is champion already.

    Args:
        loop: the declaration; its `rollout` is the plan.
        champion: the version the challenger was judged against, None if there was none.
        challenger: the version that should take over.
        score_gap: by how much its mean score was above the champion's where it was judged.
        gateway: splits the traffic.
        metrics: where both versions' counters are read.
        outcomes: where predictions meet their labels.
        registry: who is champion, by compare-and-swap.
        store: where the state is kept.
        clock: the time, with its zone.
        sleep: waits between two looks.
        speedup: how much faster than the wall clock the plan's durations pass.

    Raises:
        RolloutBusy: another process is at work on a rollout of this loop.
        GatewayError: not even the way back worked, or an earlier rollout can not be settled;
            the state stays for `resume`.
        KontinualError: challenger and champion are the same version.
    """
    if champion == challenger:
        raise KontinualError(f"version {challenger} is champion already; nothing is to be shifted")
    engine = Engine(loop, gateway, metrics, outcomes, registry, store, clock, sleep, speedup)
    with store.lock():
        left = store.load()
        if left is not None and not left.phase.ended:
            engine.undo(left, "left unfinished")
            engine.run(left)
            if not left.phase.ended:
                raise GatewayError(
                    f"the rollout of version {left.challenger} has to end first: {left.reason}"
                )
        return engine.run(engine.start(champion, challenger, score_gap=score_gap))


def resume(
    loop: Loop,
    *,
    gateway: Gateway,
    metrics: Metrics,
    outcomes: Outcomes,
    registry: Registry,
    store: RolloutStore,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    speedup: float = 1.0,
) -> RolloutResult | None:
    """Go on with a rollout whose process died; None when none is unfinished.

    Raises:
        RolloutBusy: its process lives.
    """
    engine = Engine(loop, gateway, metrics, outcomes, registry, store, clock, sleep, speedup)
    with store.lock():
        state = store.load()
        if state is None or state.phase.ended:
            return None
        store.forget_abort()
        return engine.run(state)


def abort(
    loop: Loop,
    *,
    gateway: Gateway,
    metrics: Metrics,
    outcomes: Outcomes,
    registry: Registry,
    store: RolloutStore,
    who: str,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> RolloutResult | None:
    """Put the champion back to 100 % and retire the challenger; None when none is unfinished.

    A rollout whose process lives is asked to do so itself, and waited for. One
    whose challenger has become champion can not be undone: it is finished.

    Raises:
        RolloutBusy: the process at work did not come to an end.
    """
    engine = Engine(loop, gateway, metrics, outcomes, registry, store, clock, sleep)
    before = store.load()
    if before is None or before.phase.ended:
        return None
    store.ask_to_abort(who)
    with store.lock(timeout=ABORT_WAIT_SECONDS):
        store.forget_abort()
        state = store.load()
        if state is None:
            return None
        engine.undo(state, f"aborted by {who}")
        return engine.run(state)

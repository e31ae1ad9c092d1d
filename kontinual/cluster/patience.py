"""Trouble of the moment is waited for: an API server that is replaced is away for a minute."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
)

from kontinual.cluster.client import cluster_errors
from kontinual.errors import ClusterError

__all__ = ["is_passing", "patiently"]

PATIENCE_SECONDS = 120.0
T = TypeVar("T")
_log = logging.getLogger(__name__)


def patiently(
    what: str,
    action: Callable[[], T],
    *,
    seconds: float = PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Do what may be done twice, again and again while the cluster is in trouble.

    Args:
        what: begins the error's message, such as `pods of team can not be read`.
        action: one request.
        seconds: to go on trying, by the wall clock.
        sleep: waits between two tries.

    Raises:
        ClusterError: it was refused, or the trouble lasts.
    """
    retrying = Retrying(
        retry=retry_if_exception(is_passing),
        stop=stop_after_delay(seconds),
        wait=wait_exponential(multiplier=0.5, max=10),
        before_sleep=before_sleep_log(_log, logging.WARNING),
        sleep=sleep,
        reraise=True,
    )

    def once() -> T:
        with cluster_errors(what):
            return action()

    return retrying(once)


def is_passing(error: BaseException) -> bool:
    """Is it the cluster's trouble of the moment, and not what was asked?"""
    return isinstance(error, ClusterError) and (error.status in {0, 429} or error.status >= 500)

"""Following a run through a service that is silent for a while."""

import httpx
import pytest

from kontinual.errors import ServiceError
from kontinual.trigger.client import QUESTIONS, LostSight, TriggerClient

RUNNING, ENDED = {"state": "running"}, {"state": "ended"}


class Service:
    """Answers one after the other; an exception is a connection that is reset."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.slept = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            return httpx.Response(answer, json={"detail": "the ledger does not answer"})
        if answer is None:
            raise httpx.ReadError("Connection reset by peer", request=request)
        return httpx.Response(200, json=answer)

    def client(self) -> TriggerClient:
        return TriggerClient("http://t", transport=httpx.MockTransport(self), sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def test_a_run_is_followed_over_resets_and_outages() -> None:
    service, seen = Service(RUNNING, None, None, RUNNING, 503, ENDED), []
    assert service.client().wait("r", seen=seen.append) == ENDED
    assert seen == [RUNNING, RUNNING, ENDED]


def test_a_service_that_stays_silent_is_given_up_after_a_minute_and_the_run_is_not() -> None:
    service = Service(RUNNING, *[None] * QUESTIONS)
    with pytest.raises(LostSight, match=r"run r goes on, but can not be followed: .*Connection re"):
        service.client().wait("r")
    assert 45 < service.slept < 75


def test_a_refusal_is_not_asked_again() -> None:
    service = Service(404)
    with pytest.raises(ServiceError, match=r"refuses \(404\)"):
        service.client().wait("r")


def test_a_trigger_is_followed_until_it_is_held_no_more() -> None:
    held, accepted = {"decision": "hold"}, {"decision": "accept"}
    assert Service(held, None, held, accepted).client().settled(7) == accepted

"""Which runs go on, and which are refused before they write anything."""

import json
from pathlib import Path

import httpx
import pytest

from kontinual.errors import ServiceError
from kontinual.lake import Lake
from kontinual.settings import Settings
from kontinual.spec import load_loop
from kontinual.steps.admit import RunRefused, admit
from kontinual.steps.record import record
from kontinual.trigger import TriggerClient

ROOT = Path(__file__).parents[3]
LOOP = str(ROOT / "examples" / "flights" / "loop.yaml")
JOB, OTHER = "63997049-2d1c-4c0e-9a53-000000000000", "11111111-2d1c-4c0e-9a53-000000000000"


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.setenv("KONTINUAL_LAKE", str(tmp_path))
    monkeypatch.setenv("KONTINUAL_KFP_UI", "https://kubeflow.example/_/pipeline")
    return Lake(str(tmp_path), load_loop(LOOP))


class FakeTrigger:
    """The trigger service, which answers one way and remembers what it was asked."""

    def __init__(self, decision, rule, reason="because"):
        self.told = {"id": 5, "decision": decision, "rule": rule, "reason": reason, "run": None}
        self.asked = []

    def answer(self, request):
        if request.url.path.endswith("/status"):
            return httpx.Response(200, json={"loop": "flights"})
        self.asked.append(json.loads(request.content))
        return httpx.Response(202, json=self.told)

    def __call__(self, settings: Settings) -> TriggerClient:
        return TriggerClient(settings.trigger, transport=httpx.MockTransport(self.answer))


def test_a_named_run_keeps_its_name_and_asks_nobody(lake):
    trigger = FakeTrigger("suppress", "paused")
    assert admit(LOOP, "flights-1", "7", JOB, ask=trigger) == "flights-1"
    assert lake.journal("flights-1").notes()["admit"]["trigger"] == "7"
    assert not trigger.asked


def test_a_second_job_of_the_same_run_is_refused_and_writes_nothing(lake):
    admit(LOOP, "flights-1", "7", JOB)
    before = lake.journal("flights-1").notes()
    for step in (admit, record):
        with pytest.raises(RunRefused, match="run 'flights-1' is another job's"):
            step(LOOP, "flights-1", "7", OTHER)
    assert lake.journal("flights-1").notes() == before
    assert lake.journal("flights-1").record() is None, "the first job goes on"


def test_a_repeated_step_of_the_same_job_goes_on(lake):
    assert admit(LOOP, "flights-1", "7", JOB) == admit(LOOP, "flights-1", "7", JOB)


def test_a_run_that_has_ended_keeps_its_record(lake):
    admit(LOOP, "flights-1", "7", JOB)
    ended = record(LOOP, "flights-1", "7", JOB)
    before = lake.journal("flights-1").notes()
    with pytest.raises(RunRefused, match="has ended already; a new run needs a new name"):
        admit(LOOP, "flights-1", "7", JOB)
    assert lake.journal("flights-1").notes() == before
    assert lake.journal("flights-1").record() == ended


def test_a_run_without_a_name_is_named_after_its_job_in_every_step(lake):
    assert admit(LOOP, "", "manual", JOB) == "flights-63997049"
    assert record(LOOP, "", "manual", JOB).id == "flights-63997049"
    with pytest.raises(RunRefused, match="needs a job to be named after"):
        admit(LOOP, "", "manual")


def test_a_run_by_the_calendar_tells_the_trigger_where_it_goes_on(lake):
    trigger = FakeTrigger("accept", "accepted")
    assert admit(LOOP, "", "schedule", JOB, ask=trigger) == "flights-63997049"
    (asked,) = trigger.asked
    assert asked == {
        "reason": "by the calendar",
        "source": "schedule",
        "run": "flights-63997049",
        "process": {
            "kfp_run": JOB,
            "url": f"https://kubeflow.example/_/pipeline/#/runs/details/{JOB}",
        },
    }
    admit(LOOP, "", "schedule", JOB, ask=trigger)
    assert len(trigger.asked) == 1, "a repeated step has its answer already"


@pytest.mark.parametrize(("decision", "rule"), [("suppress", "cooldown"), ("hold", "not_examined")])
def test_a_run_by_the_calendar_that_is_not_accepted_ends(lake, monkeypatch, decision, rule):
    monkeypatch.setattr("kontinual.steps.admit.WAIT_SECONDS", 0.0)
    trigger = FakeTrigger(decision, rule, "two days are left")
    refused = f"trigger 5 is not accepted, by rule {rule}: two days are left"
    with pytest.raises(RunRefused, match=refused):
        admit(LOOP, "", "schedule", JOB, ask=trigger)
    assert refused in record(LOOP, "", "schedule", JOB).reason


def test_without_a_trigger_service_no_run_by_the_calendar_goes_on(lake, monkeypatch):
    monkeypatch.setenv("KONTINUAL_TRIGGER", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="can not be reached"):
        admit(LOOP, "", "schedule", JOB)

"""What a declaration may say of Katib's trials, and the mistakes it is told of."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from kontinual.spec.katib import Katib


def test_quantities_are_written_as_in_kubernetes() -> None:
    limits = {"memory": "1.5Gi", "nvidia.com/gpu": 1, "cpu": 0.5}
    job = Katib.model_validate({"job": {"limits": limits}}).job
    assert job.limits == {"memory": "1.5Gi", "nvidia.com/gpu": "1", "cpu": "0.5"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"job": {"limits": {"memory": "2 GB"}}}, "job.limits.memory"),
        ({"job": {"requests": {"cpu": -1}}}, "job.requests.cpu"),
        ({"job": {"requests": {"cpu": True}}}, "job.requests.cpu"),
        ({"job": {"requests": {"cpu": math.inf}}}, "job.requests.cpu"),
        ({"job": {"tolerations": [{"operator": "Equal", "value": "x"}]}}, "Equal needs a key"),
        ({"job": {"tolerations": [{"operator": "Exists", "value": "x"}]}}, "takes no value"),
        ({"job": {"gpu": 1}}, "job.gpu"),
        ({"max_failed": 0}, "max_failed"),
        ({"early_stopping": {"start_step": 3}}, "early_stopping.start_step"),
        ({"early_stopping": {"min_trials": 0}}, "early_stopping.min_trials"),
    ],
)
def test_a_mistake_is_named_by_its_place(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Katib.model_validate(wrong)

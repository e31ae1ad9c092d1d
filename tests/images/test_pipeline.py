"""The whole loop's pipeline, each step in the image that a cluster would run it in."""

from kontinual.spec import Outcome, RunRecord


def test_first_model_is_trained_judged_and_promoted(promoted: RunRecord):
    assert promoted.outcome is Outcome.PROMOTED, promoted.reason
    assert promoted.champion == promoted.version == "1"

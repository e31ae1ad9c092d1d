"""Names that fit into KServe's hosts, at the bound and one letter beyond."""

import pytest

from kontinual.errors import SpecError
from kontinual.spec.hosts import KServeMode, check_hosts

PROFILE = "kubeflow-user-example-com"  # Kubeflow's first


@pytest.mark.parametrize(("mode", "longest"), [("standard", 27), ("knative", 37)])
def test_a_part_of_a_host_has_63_letters_at_most(mode: KServeMode, longest: int) -> None:
    check_hosts("a" * longest, PROFILE, mode)
    with pytest.raises(SpecError, match=rf"may have {longest} letters at most"):
        check_hosts("a" * (longest + 1), PROFILE, mode)


def test_the_refusal_says_what_would_fit() -> None:
    namespace = "n" * 40
    with pytest.raises(SpecError) as refused:
        check_hosts("demand-by-hour", namespace, "standard")
    assert str(refused.value) == (
        f"name: in KServe's mode standard a loop's name in namespace {namespace} may have 12 "
        f"letters at most, as demand-by-hour-predictor-{namespace} is part of a host name, but "
        "demand-by-hour has 14; shorten it, take a shorter namespace, or name another mode in "
        "KONTINUAL_KSERVE_MODE"
    )

"""How long a loop's name may be where KServe makes host names of it.

By KServe's usual `domainTemplate`, the first part of a host is the name and the namespace joined by
a hyphen; in Standard mode the predictor has such a host as well. A part of a host has 63 letters at
most, and KServe finds out when the first version is deployed, after the whole training.
"""

from typing import Literal

from kontinual.errors import SpecError

__all__ = ["KServeMode", "check_hosts"]

KServeMode = Literal["standard", "knative"]
LONGEST = 63
_INFIX = {"standard": "-predictor-", "knative": "-"}


def check_hosts(name: str, namespace: str, mode: KServeMode) -> None:
    """Refuse a loop's name of which KServe could make no host in a namespace.

    Raises:
        SpecError: it is too long.
    """
    host = f"{name}{_INFIX[mode]}{namespace}"
    most = max(0, len(name) - (len(host) - LONGEST))
    if len(host) > LONGEST:
        raise SpecError(
            f"name: in KServe's mode {mode} a loop's name in namespace {namespace} may have {most} "
            f"letters at most, as {host} is part of a host name, but {name} has {len(name)}; "
            "shorten it, take a shorter namespace, or name another mode in KONTINUAL_KSERVE_MODE"
        )

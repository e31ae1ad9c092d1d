"""This machine's own services are asked directly, whatever proxy knows the world outside."""

import os
from collections.abc import MutableMapping

__all__ = ["ask_own_machine_directly"]

_OWN = ("localhost", "127.0.0.1", "::1")


def ask_own_machine_directly(environment: MutableMapping[str, str] | None = None) -> None:
    """Add this machine's own names to NO_PROXY, for this process and those that it starts.

    Where HTTP_PROXY is set and NO_PROXY is not, as behind many a company's proxy, a client of
    Prometheus or of the trigger beside it would ask the proxy, which knows neither. Clients read
    the name in capitals or in small letters, so both are set.

    Args:
        environment: of this process by default.
    """
    environment = os.environ if environment is None else environment
    for name in ("NO_PROXY", "no_proxy"):
        known = [host.strip() for host in environment.get(name, "").split(",") if host.strip()]
        if "*" not in known:
            environment[name] = ",".join([*known, *(own for own in _OWN if own not in known)])

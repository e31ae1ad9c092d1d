"""Addresses for a stack beside others on this machine."""

from urllib.parse import urlsplit

from kontinual.local.ports import first_free_port, free_ports
from kontinual.settings import Settings

__all__ = ["chosen_addresses", "usual_addresses"]

_SERVICES = (
    "prometheus",
    "alertmanager",
    "collector",
    "trigger",
    "gateway_url",
    "gateway_admin",
)


def usual_addresses() -> dict[str, str]:
    """Each service's setting with its default address, or one beside it where that is taken."""
    found: dict[str, str] = {}
    taken: list[int] = []
    for name in _SERVICES:
        usual = urlsplit(Settings.model_fields[name].default).port or 0
        taken.append(first_free_port("127.0.0.1", range(usual, usual + 80), taken=taken))
        found[name] = f"http://127.0.0.1:{taken[-1]}"
    return found


def chosen_addresses() -> dict[str, str]:
    """Each service's setting with a port that the system chooses.

    Two stacks that begin at the same time hardly ever choose the same.
    """
    ports = free_ports(len(_SERVICES))
    return {name: f"http://127.0.0.1:{port}" for name, port in zip(_SERVICES, ports, strict=True)}

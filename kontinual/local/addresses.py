"""Addresses for a stack beside others on this machine."""

from collections.abc import Mapping

from kontinual.home import keep_addresses, require_writable
from kontinual.local.ports import address_of, first_free_port, free_ports
from kontinual.settings import Settings

__all__ = ["chosen_addresses", "usual_addresses", "with_free_addresses"]

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
    return _free({name: Settings.model_fields[name].default for name in _SERVICES})


def with_free_addresses(settings: Settings) -> Settings:
    """The settings, with an address beside the present one for each service whose port is taken.

    They are kept in the home, where `settings_of` finds them. What the environment names stays.

    Raises:
        ServiceError: the home can not be written.
    """
    named = Settings().model_fields_set
    chosen = _free({name: getattr(settings, name) for name in _SERVICES if name not in named})
    require_writable(settings.home)
    keep_addresses(settings.home, chosen)
    return settings.model_copy(update=chosen)


def chosen_addresses() -> dict[str, str]:
    """Each service's setting with a port that the system chooses.

    Two stacks that begin at the same time hardly ever choose the same.
    """
    ports = free_ports(len(_SERVICES))
    return {name: f"http://127.0.0.1:{port}" for name, port in zip(_SERVICES, ports, strict=True)}


def _free(usual: Mapping[str, str]) -> dict[str, str]:
    """The usual addresses, or the next ones on the same host whose ports are free."""
    found: dict[str, str] = {}
    taken: list[int] = []
    for name, url in usual.items():
        host, port = address_of(url, setting=f"KONTINUAL_{name.upper()}")
        taken.append(first_free_port(host, range(port, port + 80), taken=taken))
        found[name] = f"http://{host}:{taken[-1]}"
    return found

"""Settings as the environment of a service, so that it reads what its stack was given."""

from pydantic import SecretStr

from kontinual.settings import Settings

__all__ = ["settings_environment"]


def settings_environment(settings: Settings, *, token: str | None = None) -> dict[str, str]:
    """The `KONTINUAL_*` variables of these settings.

    Paths become absolute, but for an interpreter named by a single word, which is looked
    for on PATH. The token is left out unless it is given: only the trigger may know it.
    """
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    python = settings.data_python
    values |= {
        "home": settings.home.resolve(),
        # Not resolved: a virtual environment's interpreter is known by its link.
        "data_python": python.absolute() if len(python.parts) > 1 else python,
        "token": token,
    }
    return {
        f"KONTINUAL_{name.upper()}": str(value)
        for name, value in values.items()
        if value is not None and not isinstance(value, SecretStr)
    }

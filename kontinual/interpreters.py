"""The environment of TFDV on this machine, which is another one than ours."""

import shutil

from kontinual.errors import ServiceError
from kontinual.settings import Settings

__all__ = ["data_interpreter"]


def data_interpreter(settings: Settings) -> str:
    """The data environment's Python.

    Raises:
        ServiceError: it is not there.
    """
    if shutil.which(settings.data_python) is None:
        raise ServiceError(
            f"the data environment's interpreter {settings.data_python} is not there; run "
            "`make setup` in Kontinual's clone, or let KONTINUAL_DATA_PYTHON name another one"
        )
    return str(settings.data_python)

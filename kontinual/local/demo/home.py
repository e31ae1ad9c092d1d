"""The demo's home: a fresh folder with a declaration, its history, and free addresses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from kontinual.errors import ServiceError
from kontinual.local.addresses import usual_addresses
from kontinual.local.demo.options import HISTORY_MONTHS, DemoOptions
from kontinual.local.environment import settings_environment
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop

__all__ = ["demo_home", "demo_table"]


def demo_table(options: DemoOptions) -> pd.DataFrame:
    """All twelve months with the loop's columns, made once from the installed data package.

    Raises:
        ServiceError: it can not be made, or lacks columns of the declaration.
    """
    data = load_loop(str(options.loop)).data
    path = options.out.parent / "flights.parquet"
    if not path.is_file():
        script = options.loop.parent / "prepare.py"
        made = subprocess.run(
            [sys.executable, str(script), str(path)], capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise ServiceError(f"{script} could not make {path}:\n{made.stderr.strip()}")
    frame = pd.read_parquet(path)
    missing = {data.id, data.time, data.label.name, *data.feature_names} - set(frame.columns)
    if missing:
        raise ServiceError(f"{path} lacks the columns {sorted(missing)}; delete it and try again")
    return frame


def demo_home(options: DemoOptions) -> tuple[Path, Settings]:
    """Empty the home, lay the declaration and its history there, and choose addresses.

    The settings are exported to the environment, so that every process of the
    demo reads the same.

    Returns:
        The declaration's path, and the settings.
    """
    frame, loop = demo_table(options), load_loop(str(options.loop))
    shutil.rmtree(options.home, ignore_errors=True)
    options.home.mkdir(parents=True)
    url = (options.home / "loop.yaml").resolve()
    shutil.copyfile(options.loop, url)
    _history(frame, loop).to_parquet(url.with_name("history.parquet"), index=False)
    module = "kontinual.local.faults" if options.bad_challenger else "kontinual.serving"
    settings = Settings.model_validate(
        {
            "home": options.home,
            "predictor_module": module,
            "speedup": options.speedup,
            **usual_addresses(),
        }
    )
    os.environ.update(settings_environment(settings))
    # The faulty predictor answers soundly for the first model: only challengers are bad.
    os.environ["KONTINUAL_SOUND_VERSIONS"] = "1"
    return url, Settings()


def _history(frame: pd.DataFrame, loop: Loop) -> pd.DataFrame:
    months = pd.to_datetime(frame[loop.data.time], utc=True).dt.month
    return frame[months.isin(HISTORY_MONTHS)]

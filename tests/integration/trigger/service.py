"""The trigger service as a process for tests: real but for the run's record and the champion.

    python service.py LOOP PORT RECORDS DIE COMMAND...

DIE is `never`, `before_launch` or `after_launch`: where the process kills
itself with SIGKILL, once (a file beside RECORDS remembers that it did).
"""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kontinual.settings import Settings
from kontinual.spec import RunRecord, load_loop
from kontinual.trigger import LocalLauncher, Run
from kontinual.trigger.logs import log_as_json
from kontinual.trigger.server import serve


class DyingLauncher(LocalLauncher):
    """Kills the whole service at the worst moment."""

    die: str = "never"
    tomb: Path

    def launch(self, run: Run) -> dict[str, Any]:
        if self.die == "before_launch":
            self.kill_once()
        process = super().launch(run)
        if self.die == "after_launch":
            self.kill_once()
        return process

    def kill_once(self) -> None:
        if not self.tomb.exists():
            self.tomb.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class OneChampion:
    def champion(self) -> str:
        return "1"

    def former_champion(self) -> str:
        return "3"

    def champions(self) -> list[str]:
        return ["1", "3"]

    def champion_since(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def record(records: Path, run_id: str) -> RunRecord | None:
    path = records / f"{run_id}.json"
    return RunRecord.model_validate_json(path.read_text()) if path.exists() else None


def main() -> None:
    path, port, folder, die, *command = sys.argv[1:]
    log_as_json()
    loop, settings, records = load_loop(path), Settings(), Path(folder)
    launcher = DyingLauncher(
        command,
        settings.home / "runs",
        loop=loop,
        records=lambda run_id: record(records, run_id),
    )
    launcher.die, launcher.tomb = die, records / "died"
    serve(
        loop,
        settings,
        host="127.0.0.1",
        port=int(port),
        launcher=launcher,
        champion=OneChampion(),
    )


main()

"""A rollout in a process of its own, on a world below a folder, that may kill itself.

    python rollout_process.py FOLDER {rollout|resume|restore} [--die-at N] [--harm] [--sleepy]

It dies by SIGKILL at the N-th action (deploy, shift, retire, swap, new phase): even
numbers right after an action, odd ones right before.
"""

import argparse
import os
import signal
import time
from pathlib import Path
from typing import Any

from rollout_world import Behaviour, World

from kontinual.rollout import resume, rollout
from kontinual.spec import Loop, load_loop
from kontinual.steps.rollback import restore

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
PLAN = {"steps": [10, 100], "min_requests": 30, "step_duration": "1s", "step_timeout": "60s"}
ACTIONS = {"deploy", "shift", "retire", "set_champion", "save"}


def world_in(folder: Path, *, harm: bool = False) -> World:
    tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
    loop = Loop.model_validate({**tree, "rollout": PLAN})
    return World(folder, loop, v1=Behaviour(), v2=Behaviour(score=0.8 if harm else 0.3))


class Suicidal:
    """Passes calls on and kills the whole process at the given action."""

    left = 0
    last_phase = ""

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ACTIONS:
            return found

        def call(*args: Any, **options: Any) -> object:
            if name == "save":
                # Between two looks at a step nothing happens but the looking.
                same = args[0].phase == Suicidal.last_phase
                Suicidal.last_phase = args[0].phase
                if same:
                    return found(*args, **options)
            self._step()
            result = found(*args, **options)
            self._step()
            return result

        return call

    @classmethod
    def _step(cls) -> None:
        cls.left -= 1
        if cls.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("what", choices=["rollout", "resume", "restore"])
    parser.add_argument("--die-at", type=int, default=0)
    parser.add_argument("--harm", action="store_true")
    parser.add_argument("--sleepy", action="store_true", help="wait in real time, for a signal")
    options = parser.parse_args()
    world = world_in(options.folder, harm=options.harm)
    parts: dict[str, Any] = dict(world.parts)
    if options.sleepy:
        world.traffic.per_read = 0
        parts["sleep"] = time.sleep
    Suicidal.left = options.die_at
    for name in ("gateway", "registry", "store"):
        parts[name] = Suicidal(parts[name])
    if options.what == "rollout":
        rollout(world.loop, champion="1", challenger="2", **parts)
    elif options.what == "restore":
        del parts["speedup"]
        restore(world.loop, version="2", **parts)
    else:
        resume(world.loop, **parts)


if __name__ == "__main__":
    main()

"""One trial as a process of its own: what Katib's Jobs run.

`python -m kontinual.tuning.trial --loop URL --run-id RUN --span 3 --seed 1 --name NAME
--set algorithm=logistic_regression --set logistic_regression.C=0.5`

Values are percent-encoded (see `kontinual.tuning.assignments`). The metrics,
and what the trial cost, go to the output as `2026-01-31T12:00:00.000000Z log_loss=0.52`,
where Katib's collector finds them; messages go to the log. Exit code 0: there is a
result; 1: there is none, and the log and the pod's status say why.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from kontinual.errors import KontinualError
from kontinual.home import settings_of
from kontinual.lake import Lake
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop
from kontinual.tracking import Tracker, TrialRecord
from kontinual.training import prepare
from kontinual.tuning.assignments import read
from kontinual.tuning.space import Space, Suggestion
from kontinual.tuning.split import Split
from kontinual.tuning.worker import Report, measured, score

__all__ = ["main"]

_STEPS = (0.25, 0.5)  # shares of the rows fitted to before all of them, for early stopping
# Kubernetes shows in the pod's status what a container leaves here. Its output would not do:
# Katib's webhook sends that to a file of its collector.
_LAST_WORDS = Path("/dev/termination-log")
_MOST_WORDS = 1000  # at up to four bytes each; Kubernetes takes 4096
_log = logging.getLogger("kontinual.tuning.trial")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one trial; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    options = _parser().parse_args(arguments)
    settings = settings_of(options.loop)
    try:
        loop = load_loop(options.loop)
        suggestion = read(Space.of(loop), dict(options.set))
    except KontinualError as exc:
        return _failed(str(exc))
    _log.info("%s: %s with %s", options.name, suggestion.algorithm, suggestion.parameters)
    report = measured(lambda: _work(loop, settings, suggestion, options))
    if not report.error:
        tell(report.metrics)
        tell(report.cost.model_dump())
    _keep(settings.tracking_uri, loop, options, suggestion, report)
    return _failed(report.error) if report.error else 0


def _failed(reason: str) -> int:
    """Say why there is no result, in the log and where the pod's status shows it."""
    _log.error("%s", reason)
    with suppress(OSError):
        if _LAST_WORDS.exists():
            _LAST_WORDS.write_text(reason[:_MOST_WORDS], "utf-8", errors="replace")
    return 1


def tell(figures: Mapping[str, float]) -> None:
    """Print figures as Katib's collector reads them, at once."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    for name, value in figures.items():
        sys.stdout.write(f"{now} {name}={value!r}\n")
    sys.stdout.flush()


def _work(
    loop: Loop, settings: Settings, suggestion: Suggestion, options: argparse.Namespace
) -> dict[str, float]:
    # Nothing else holds the rows that the split is a copy of.
    split = Split.of(prepare(loop, Lake(settings.lake_url, loop), options.span, seed=options.seed))
    for share in _STEPS if options.in_steps else ():
        part = split.newest(share)
        if len(np.unique(part.labels)) > 1:
            tell(score(loop, part, suggestion, options.seed))
    return score(loop, split, suggestion, options.seed)


def _keep(
    uri: str, loop: Loop, options: argparse.Namespace, suggestion: Suggestion, report: Report
) -> None:
    """Log the trial; if that fails, who reads Katib's own figures logs it later."""
    try:
        tracker = Tracker(uri, loop.name)
        tracker.log_trial(
            options.run_id,
            TrialRecord(
                number=len(tracker.named_trials(options.run_id)),
                **suggestion.model_dump(),
                metrics=report.metrics,
                seed=options.seed,
                state="failed" if report.error else "complete",
                error=report.error,
                **report.cost.model_dump(),
            ),
            name=options.name,
        )
    except KontinualError as exc:
        _log.warning("%s", exc)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kontinual.tuning.trial", description=__doc__)
    parser.add_argument("--loop", required=True, type=unquote, help="URL of loop.yaml")
    parser.add_argument("--run-id", required=True, type=unquote, help="the run it belongs to")
    parser.add_argument("--span", required=True, type=int, help="the newest span to train on")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--name", required=True, help="what the trial is called")
    parser.add_argument(
        "--in-steps", action="store_true", help="tell of fits on the newest rows first"
    )
    parser.add_argument(
        "--set",
        required=True,
        action="append",
        type=_assignment,
        metavar="NAME=VALUE",
        help="a parameter of the Experiment",
    )
    return parser


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"NAME=VALUE is needed, but got {text!r}")
    return name, value


if __name__ == "__main__":
    sys.exit(main())

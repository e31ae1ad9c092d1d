"""Trials, versions and the champion of one loop, kept in MLflow."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from kontinual.errors import ModelPackageError, PromotionConflict, TrackingError
from kontinual.model import ModelPackage
from kontinual.tracking.records import TrialRecord
from kontinual.tracking.store import Store, is_missing, tracking_errors
from kontinual.tracking.trials import TrialLog

__all__ = ["Tracker"]

_CHAMPION = "champion"
_CHALLENGER = "challenger"
_PROMOTED_AT = "kontinual.promoted_at"
_FOLLOWED = "kontinual.followed"
_FOLDER = "package"


class Tracker:
    """The registry of a loop. Versions are MLflow's numbers as text.

    Several processes may use one registry: promotion is a compare-and-swap under a
    file lock, everything else is append-only.

    Args:
        uri: MLflow's tracking URI; see `kontinual.tracking.store.Store`.
        loop_name: name of the experiment and of the registered model.
        lock: file of the promotion lock; default beside the registry.
        clock: time of promotions.
    """

    def __init__(
        self,
        uri: str,
        loop_name: str,
        *,
        lock: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = loop_name
        self._store = Store(uri, loop_name, lock=lock)
        self._trials = TrialLog(self._store, loop_name)
        self._clock = clock

    def log_trial(self, run_id: str, trial: TrialRecord, *, name: str | None = None) -> None:
        """Keep a trial of a run.

        Args:
            run_id: the run.
            trial: how it went.
            name: what it is called by who runs it, if anything; a second record under
                the same name takes the place of the first.

        Raises:
            TrackingError: MLflow can not be used.
        """
        with tracking_errors(f"trial {name or trial.number} of {run_id} can not be logged"):
            self._trials.log(run_id, trial, name=name)

    def open_run(self, run_id: str) -> None:
        """Make a run known, before processes that know nothing of each other log its trials.

        Raises:
            TrackingError: MLflow can not be used.
        """
        with tracking_errors(f"{run_id} can not be opened"):
            self._trials.parent(run_id)

    def named_trials(self, run_id: str) -> dict[str, TrialRecord]:
        """The trials of a run that were logged under a name, by that name."""
        with tracking_errors(f"the trials of {run_id} can not be read"):
            return self._trials.named(run_id)

    def trials(self, limit: int = 200) -> list[TrialRecord]:
        """The latest trials of all runs, newest run first and in a run the last first."""
        with tracking_errors(f"the trials of {self.name} can not be read"):
            return self._trials.newest(limit)

    def register(self, folder: Path, *, run_id: str, metrics: dict[str, float]) -> str:
        """Make a model package a version.

        A second call with the same run and package gives the same version, so a
        step that died after it can be repeated.

        Args:
            folder: of a complete model package.
            run_id: of the run that made it.
            metrics: of the package on its holdout; logged with the run.

        Raises:
            ModelPackageError: the folder holds no sound package.
            TrackingError: MLflow can not be used.
        """
        package = ModelPackage.read(folder)
        with tracking_errors(f"the package of {run_id} can not be registered"):
            parent = self._trials.parent(run_id)
            with self._store.locked():
                found = self._registered(parent, package.digest)
                return found or self._register(folder, package, parent, run_id, metrics)

    def package(self, version: str) -> Path:
        """Folder of a version's package on this machine, fetched at the first call.

        Raises:
            ModelPackageError: what the registry holds is damaged.
            TrackingError: there is no such version, or MLflow can not be used.
        """
        with tracking_errors(f"version {version} of {self.name} can not be read"):
            entry = self._version(version)
            # A registry made anew starts at 1 again: the run tells the two apart.
            target = self._cache / f"{version}-{entry.run_id}"
            if not _sound(target):
                self._download(entry, target)
        ModelPackage.read(target)
        return target

    def champion(self) -> str | None:
        """The version in charge; None before the first promotion."""
        return self._aliases().get(_CHAMPION)

    def challenger(self) -> str | None:
        """The version that is being rolled out, if any."""
        return self._aliases().get(_CHALLENGER)

    def champion_since(self) -> datetime | None:
        """When the champion was promoted, UTC; None without a champion."""
        version = self.champion()
        if version is None:
            return None
        with tracking_errors(f"version {version} of {self.name} can not be read"):
            promoted = self._version(version).tags.get(_PROMOTED_AT)
        return datetime.fromisoformat(promoted) if promoted else None

    def former_champion(self) -> str | None:
        """The champion that the present one took over from; None without one.

        Each version keeps whom it followed when it was first promoted, and a return to it
        changes nothing of that. So asked again after each return it leads further back, past
        those that were left and those that never were champion.
        """
        version = self.champion()
        if version is None:
            return None
        with tracking_errors(f"version {version} of {self.name} can not be read"):
            followed: str | None = self._version(version).tags.get(_FOLLOWED)
        return followed

    def champions(self) -> list[str]:
        """The versions that ever were champion, the first one first."""
        with tracking_errors(f"the versions of {self.name} can not be read"):
            found = self._store.client.search_model_versions(f"name='{self.name}'")
            return sorted((str(v.version) for v in found if _PROMOTED_AT in v.tags), key=int)

    def set_champion(self, version: str, *, expected: str | None) -> None:
        """Promote a version if the champion still is the one that was expected.

        Args:
            version: to be the champion; no longer the challenger then.
            expected: the champion that the decision was made against; None for none.

        Raises:
            PromotionConflict: another one is champion by now; nothing was changed.
            TrackingError: there is no such version, or MLflow can not be used.
        """
        with tracking_errors(f"{version} can not be promoted"), self._store.locked():
            aliases = self._aliases()
            current = aliases.get(_CHAMPION)
            if current != expected:
                raise PromotionConflict(
                    f"{self.name}: version {version} was to follow champion {expected}, "
                    f"but the champion is {current} by now; evaluate it against that one"
                )
            if current == version:
                return
            client = self._store.client
            # The tags first: a crash before the alias leaves the old champion with its own.
            self._tag_promotion(version, follows=current)
            client.set_registered_model_alias(self.name, _CHAMPION, version)
            if aliases.get(_CHALLENGER) == version:
                client.delete_registered_model_alias(self.name, _CHALLENGER)

    def set_challenger(self, version: str | None) -> None:
        """Name the version that is being rolled out; None for none."""
        with tracking_errors(f"challenger {version} can not be named"), self._store.locked():
            if version is not None:
                self._version(version)
                self._store.client.set_registered_model_alias(self.name, _CHALLENGER, version)
            elif _CHALLENGER in self._aliases():
                self._store.client.delete_registered_model_alias(self.name, _CHALLENGER)

    def finish(self, run_id: str, *, outcome: str) -> None:
        """Close a run in MLflow with its outcome, such as `promoted`."""
        with tracking_errors(f"{run_id} can not be closed"):
            parent = self._trials.parent(run_id)
            self._store.client.set_tag(parent, "outcome", outcome)
            self._store.client.set_terminated(
                parent, status="FAILED" if outcome == "failed" else "FINISHED"
            )

    @property
    def _cache(self) -> Path:
        return self._store.folder / "packages" / self.name

    def _aliases(self) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        with tracking_errors(f"the champion of {self.name} can not be read"):
            try:
                model = self._store.client.get_registered_model(self.name)
            except MlflowException as exc:
                if is_missing(exc):
                    return {}
                raise
        return {alias: str(version) for alias, version in model.aliases.items()}

    def _version(self, version: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._store.client.get_model_version(self.name, version)
        except MlflowException as exc:
            if is_missing(exc):
                raise TrackingError(f"{self.name} has no version {version}") from exc
            raise

    def _tag_promotion(self, version: str, *, follows: str | None) -> None:
        """Date a promotion; a first one keeps whom it follows, a return leaves that as it is."""
        tag = partial(self._store.client.set_model_version_tag, self.name, version)
        first = _PROMOTED_AT not in self._version(version).tags
        if first and follows is not None:
            tag(_FOLLOWED, follows)
        tag(_PROMOTED_AT, self._clock().isoformat())

    def _registered(self, parent: str, digest: str) -> str | None:
        found = self._store.client.search_model_versions(
            f"name = '{self.name}' and run_id = '{parent}'"
        )
        return next((str(v.version) for v in found if v.tags.get("digest") == digest), None)

    def _register(
        self,
        folder: Path,
        package: ModelPackage,
        parent: str,
        run_id: str,
        metrics: dict[str, float],
    ) -> str:
        client = self._store.client
        for key, value in metrics.items():
            client.log_metric(parent, key, value)
        client.log_artifacts(parent, str(folder), artifact_path=_FOLDER)
        self._ensure_model()
        tags = {"digest": package.digest, "algorithm": package.algorithm, "kontinual.run": run_id}
        source = f"{client.get_run(parent).info.artifact_uri}/{_FOLDER}"
        return str(client.create_model_version(self.name, source, run_id=parent, tags=tags).version)

    def _ensure_model(self) -> None:
        if not self._store.client.search_registered_models(f"name = '{self.name}'"):
            self._store.client.create_registered_model(self.name)

    def _download(self, entry: Any, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as draft:
            self._store.client.download_artifacts(entry.run_id, _FOLDER, draft)
            # Another process may have been faster; then its folder is as good.
            shutil.rmtree(target, ignore_errors=True)
            Path(draft, _FOLDER).rename(target)


def _sound(folder: Path) -> bool:
    try:
        ModelPackage.read(folder)
    except ModelPackageError:
        return False
    return True

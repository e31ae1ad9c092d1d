"""Pipelines that are kept by Kubeflow Pipelines, and their versions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kontinual.cluster.kfp.connection import Connection
from kontinual.errors import ClusterError

__all__ = ["Pipelines", "Version"]


@dataclass(frozen=True)
class Version:
    """One version of a pipeline."""

    pipeline: str
    id: str
    name: str = field(default="", compare=False)  # where it is told of


class Pipelines:
    """Finds and uploads pipelines; those of the namespace where there is one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, name: str) -> str | None:
        """The id of the pipeline of this name; None when there is none."""
        found = self._connection.named(
            f"looking for pipeline {name}",
            "pipelines",
            "pipeline_service_list_pipelines",
            "pipelines",
            name,
            namespace=self._connection.namespace,
        )
        return str(found[0].pipeline_id) if found else None

    def create(self, name: str, description: str) -> str:
        """Make a pipeline without versions; the one that is there already is as good."""
        import kfp_server_api as api

        body = api.V2beta1Pipeline(
            display_name=name,
            name=name,
            description=description,
            namespace=self._connection.namespace,
        )
        try:
            made = self._connection.call(
                f"making pipeline {name}",
                "pipelines",
                "pipeline_service_create_pipeline",
                pipeline=body,
            )
        except ClusterError:
            # Another was faster, or it was made although the answer was lost.
            found = self.find(name)
            if found is None:
                raise
            return found
        return str(made.pipeline_id)

    def version(self, pipeline: str, name: str) -> Version | None:
        """The version of this name."""
        found = self._connection.named(
            f"looking for version {name}",
            "pipelines",
            "pipeline_service_list_pipeline_versions",
            "pipeline_versions",
            name,
            pipeline_id=pipeline,
        )
        return _version(found[0]) if found else None

    def newest(self, pipeline: str) -> Version | None:
        """The version that was uploaded last."""
        answer = self._connection.call(
            f"looking for the newest version of pipeline {pipeline}",
            "pipelines",
            "pipeline_service_list_pipeline_versions",
            pipeline_id=pipeline,
            sort_by="created_at desc",
            page_size=1,
        )
        found = answer.pipeline_versions or []
        return _version(found[0]) if found else None

    def upload(self, pipeline: str, name: str, file: Path) -> Version:
        """Upload a compiled pipeline as a version; the one that is there already is as good."""
        try:
            made = self._connection.call(
                f"uploading version {name}",
                "pipeline_uploads",
                "upload_pipeline_version",
                uploadfile=str(file),
                name=name,
                pipelineid=pipeline,
            )
        except ClusterError:
            found = self.version(pipeline, name)
            if found is None:
                raise
            return found
        return _version(made)


def _version(told: Any) -> Version:
    return Version(pipeline=told.pipeline_id, id=told.pipeline_version_id, name=told.display_name)

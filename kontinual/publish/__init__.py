"""Making a loop known to Kubeflow: its declaration, its pipeline, its recurring run."""

from kontinual.publish.change import Change, Verb
from kontinual.publish.declaration import declaration_url
from kontinual.publish.pipeline import CompiledPipeline
from kontinual.publish.publish import Publisher
from kontinual.publish.schedule import recurring_name

__all__ = [
    "Change",
    "CompiledPipeline",
    "Publisher",
    "Verb",
    "declaration_url",
    "recurring_name",
]

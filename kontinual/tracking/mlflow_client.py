"""MLflow's client, quiet. Importing this module takes seconds, so it is imported late."""

import logging
import os

# MLflow reads them while it is imported.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}.items():
    os.environ.setdefault(_name, _value)

for _name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking", "mlflow.store.model_registry"):
    logging.getLogger(_name).setLevel(logging.WARNING)

from mlflow import MlflowClient  # noqa: E402

__all__ = ["MlflowClient"]

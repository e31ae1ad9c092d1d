"""Continual learning on Kubeflow."""

import os

# ONNX Runtime (since 1.29) and MLflow (since 3.2) report how they are used to their makers
# unless told not to before they start. A server in production speaks to nobody whom its
# operator did not name. Whoever wants to report sets the variable otherwise, to `0` or `false`.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

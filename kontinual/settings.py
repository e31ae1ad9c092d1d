"""Where things are: read once from the environment (`KONTINUAL_*`) when a process starts.

A command that knows its loop asks `kontinual.home.settings_of` for them.
"""

import shlex
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["OBJECT_STORE_SECRET", "STORE_VARIABLES", "Settings"]

OBJECT_STORE_SECRET = "kontinual-object-store"  # noqa: S105  its name, on a cluster
"""The Secret that steps of a run, and the trials of a search, have credentials from."""

STORE_VARIABLES = ("AWS_ENDPOINT_URL", "AWS_REGION")
"""What else they know of the store; no secrets."""

_SOURCE = Path(__file__).parent.parent


def _data_python() -> Path:
    """What `make setup` made, here or in the source tree."""
    usual = Path(".venv-data/bin/python")
    return usual if usual.is_file() else _SOURCE / usual


def _run_command() -> str:
    return shlex.join([sys.executable, str(_SOURCE / "pipelines" / "local.py")])


class Settings(BaseSettings):
    """What differs between a laptop and a cluster, and between two laptops.

    Every field can be set as `KONTINUAL_<NAME>`. The defaults are those of the
    laptop stack, all below one folder.
    """

    model_config = SettingsConfigDict(env_prefix="KONTINUAL_", extra="ignore", frozen=True)

    home: Path = Field(
        default=Path(".kontinual"),
        description="folder of the laptop stack; for a loop, beside its declaration",
    )
    lake: str | None = Field(default=None, description="fsspec URL; default <home>/lake")
    tracking: str | None = Field(default=None, description="MLflow URI; default sqlite in <home>")
    ledger: str | None = Field(default=None, description="SQLAlchemy URL; default sqlite in <home>")
    host: str = "127.0.0.1"
    prometheus: str = "http://127.0.0.1:19090"
    alertmanager: str = "http://127.0.0.1:19093"
    collector: str = "http://127.0.0.1:18081"
    trigger: str = "http://127.0.0.1:18082"
    gateway: Literal["envoy", "kserve"] = Field(
        default="envoy", description="who splits the traffic: Envoy here, or KServe on the cluster"
    )
    gateway_url: str = "http://127.0.0.1:18080"
    gateway_admin: str = "http://127.0.0.1:18901"
    kserve_mode: Literal["standard", "knative"] = Field(
        default="standard", description="how KServe runs models: it limits the names of loops"
    )
    tuner: Literal["optuna", "katib"] = Field(
        default="optuna", description="who searches: this process, or Katib on the cluster"
    )
    train_image: str = Field(default="", description="image of Katib's trials")
    packages: str | None = Field(
        default=None, description="fsspec URL that model packages are copied to, for KServe"
    )
    packages_uri: str | None = Field(
        default=None, description="how KServe calls that place, such as pvc://models; default same"
    )
    predictor_module: str = Field(
        default="kontinual.serving", description="run as `python -m` for each predictor"
    )
    data_python: Path = Field(
        default_factory=_data_python,
        description="interpreter of the data environment (TFDV) on a laptop",
    )
    run_command: str = Field(
        default_factory=_run_command,
        description="command line that starts one run of the pipeline on this machine; --loop and "
        "others are added",
    )
    launcher: Literal["local", "kfp"] = Field(
        default="local", description="where runs run: on this machine, or Kubeflow Pipelines"
    )
    kfp: str = Field(
        default="http://ml-pipeline.kubeflow:8888", description="API of Kubeflow Pipelines"
    )
    kfp_namespace: str | None = Field(
        default=None, description="the profile's, where Kubeflow serves several users"
    )
    kfp_token: SecretStr = Field(
        default=SecretStr(""), description="for its API; in a pod the projected one is found"
    )
    kfp_ui: str | None = Field(default=None, description="its web page, for links; default kfp")
    kfp_pipeline: str = Field(default="continual-learning", description="name it is published by")
    pipeline_file: Path = Field(
        default=_SOURCE / "pipelines" / "continual_learning.yaml",
        description="the compiled pipeline that is published",
    )
    registry: str | None = Field(
        default=None, description="of our images, such as registry.example/team"
    )
    tag: str | None = Field(default=None, description="of our images; default: the version")
    token: SecretStr = Field(
        default=SecretStr(""), description="bearer token of trigger and its webhook"
    )
    credentials: Path | None = Field(
        default=None,
        description="JSON file of the trigger's named credentials: [{name, scopes, sha256}]",
    )
    tls_cert: Path | None = Field(default=None, description="the trigger serves HTTPS by it")
    tls_key: Path | None = None
    tls_client_ca: Path | None = Field(
        default=None, description="authority whose client certificates the trigger knows"
    )
    speedup: float = Field(
        default=1.0,
        ge=1,
        description="how many times faster than the wall clock the loop's windows pass (demo)",
    )

    @property
    def lake_url(self) -> str:
        return self.lake or (self.home.resolve() / "lake").as_uri()

    @property
    def tracking_uri(self) -> str:
        return self.tracking or f"sqlite:///{self.home.resolve() / 'mlflow.db'}"

    @property
    def ledger_url(self) -> str:
        return self.ledger or f"sqlite:///{self.home.resolve() / 'ledger.db'}"

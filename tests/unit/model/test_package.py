"""The model package: whole or refused."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kontinual.errors import ModelPackageError
from kontinual.model import ModelPackage, Reference, Signature
from kontinual.spec import Feature

_BYTES = b"a model"


@pytest.fixture
def fields(features: list[Feature], reference: Reference) -> dict[str, Any]:
    return {
        "loop": "flights",
        "signature": Signature(id="id", time="at", features=features, label="late"),
        "reference": reference,
        "algorithm": "logistic_regression",
        "parameters": {"C": 0.5},
        "spans": [1, 2],
        "code_version": "0.1.0",
        "seed": 7,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }


@pytest.fixture
def folder(tmp_path: Path, fields: dict[str, Any]) -> Path:
    ModelPackage.write(tmp_path / "package", _BYTES, **fields)
    return tmp_path / "package"


def test_a_package_is_read_as_it_was_written(folder: Path, fields: dict[str, Any]) -> None:
    package = ModelPackage.read(folder)
    assert {name: getattr(package, name) for name in fields} == fields
    assert package.signature.encoder.features == tuple(fields["signature"].features)


def test_a_damaged_model_file_is_refused_with_both_digests(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"b model")
    with pytest.raises(ModelPackageError, match=r"model\.onnx: damaged, sha256 \w{64} is not"):
        ModelPackage.read(folder)


@pytest.mark.parametrize("part", ["model.onnx", "package.json"])
def test_a_package_without_a_part_is_refused(folder: Path, part: str) -> None:
    (folder / part).unlink()
    with pytest.raises(ModelPackageError, match="no complete model package"):
        ModelPackage.read(folder)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [("format", "kontinual.model/v9", "format"), ("unknown", 1, "unknown"), ("seed", "x", "seed")],
)
def test_a_manifest_of_another_format_is_refused_by_field(
    folder: Path, field: str, value: object, named: str
) -> None:
    manifest = json.loads((folder / "package.json").read_text())
    (folder / "package.json").write_text(json.dumps({**manifest, field: value}))
    with pytest.raises(ModelPackageError, match=rf"package\.json: not a model pack[\s\S]*{named}"):
        ModelPackage.read(folder)


def test_a_manifest_without_a_figure_of_monitoring_is_refused_by_its_name(folder: Path) -> None:
    manifest = json.loads((folder / "package.json").read_text())
    del manifest["reference"]["quality"]["binned_roc_auc"]
    (folder / "package.json").write_text(json.dumps(manifest))
    missing = r"not a model package[\s\S]*reference\.quality\.binned_roc_auc\n  Field required"
    with pytest.raises(ModelPackageError, match=missing):
        ModelPackage.read(folder)


def test_a_manifest_that_is_cut_off_is_refused(folder: Path) -> None:
    text = (folder / "package.json").read_text()
    (folder / "package.json").write_text(text[: len(text) // 2])
    with pytest.raises(ModelPackageError, match="not a model package"):
        ModelPackage.read(folder)

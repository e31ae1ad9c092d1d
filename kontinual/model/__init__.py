"""The model package: what training makes, and serving, evaluation and monitoring use."""

from kontinual.model.encoding import Encoder, Matrix
from kontinual.model.package import ModelPackage, OnnxModel, Signature
from kontinual.model.quality import entropy, quality
from kontinual.model.reference import FeatureReference, Quality, Reference, score_bins

__all__ = [
    "Encoder",
    "FeatureReference",
    "Matrix",
    "ModelPackage",
    "OnnxModel",
    "Quality",
    "Reference",
    "Signature",
    "entropy",
    "quality",
    "score_bins",
]

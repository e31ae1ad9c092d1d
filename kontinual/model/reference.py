"""What was normal when a model was made: bins, their shares, and the model's quality.

Notation: n rows, F features, B bins of one feature.

A number has B-2 bins between quantiles of the training data, then `null`; a
category one bin per vocabulary entry, then `unseen` and `null`. Counters and
reference of one version share these bins, so a divergence is a join of the two.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from kontinual.model.encoding import Matrix
from kontinual.spec import LOW_CONFIDENCE, SCORE_BINS, CategoryFeature, Feature

__all__ = ["FeatureReference", "Quality", "Reference", "score_bins"]

Counts = npt.NDArray[np.int64]
MAX_NUMBER_BINS = 10


class Quality(BaseModel):
    """The model on the holdout it was evaluated on at birth."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    roc_auc: float
    binned_roc_auc: float = Field(description="over `score_bins`, as monitoring sees labelled rows")
    log_loss: float
    brier: float
    base_rate: float = Field(description="share of label 1")
    expected_log_loss: float = Field(description="mean entropy of its scores")


class FeatureReference(BaseModel):
    """The bins of one feature and their shares in training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    type: Literal["number", "category"]
    edges: list[float] = Field(description="inner edges, rising; bin i is (edge[i-1], edge[i]]")
    bins: list[str] = Field(description="names of the B bins, as in the counters")
    shares: list[Annotated[float, Field(gt=0)]] = Field(description="B shares, smoothed, sum 1")

    @classmethod
    def of(cls, feature: Feature, column: npt.NDArray[np.float32]) -> "FeatureReference":
        """The reference of an encoded training column, float32 [n]."""
        if isinstance(feature, CategoryFeature):
            kind: Literal["number", "category"] = "category"
            edges = [i + 0.5 for i in range(len(feature.vocabulary))]
            bins = [str(i) for i in range(len(feature.vocabulary))] + ["unseen", "null"]
        else:
            kind = "number"
            edges = _quantile_edges(column)
            bins = [str(i) for i in range(len(edges) + 1)] + ["null"]
        draft = cls(name=feature.name, type=kind, edges=edges, bins=bins, shares=[1.0] * len(bins))
        counts = np.bincount(draft.bin_of(column), minlength=len(bins))
        return draft.model_copy(update={"shares": _smoothed(counts)})

    def bin_of(self, column: npt.NDArray[np.float32]) -> Counts:
        """Index into `bins` of each encoded value, int [n]."""
        index = np.searchsorted(np.asarray(self.edges, dtype=np.float32), column, side="left")
        return np.where(np.isnan(column), len(self.bins) - 1, index)

    def count(self, column: npt.NDArray[np.float32]) -> Counts:
        """Rows of an encoded column in each bin, int [B].

        The same as counting `bin_of`, several times faster: a search guesses wrongly at each
        value, while to compare all values with an edge needs no guess.
        """
        nulls = np.count_nonzero(np.isnan(column))
        if self.type == "category":  # a value is its own bin
            codes = np.where(np.isnan(column), np.float32(len(self.bins) - 1), column)
            return np.bincount(codes.astype(np.intp), minlength=len(self.bins))
        above = [np.count_nonzero(column > np.float32(edge)) for edge in self.edges]
        return -np.diff([len(column) - nulls, *above, 0, -nulls])


class Reference(BaseModel):
    """All that a predictor exports as its constant reference."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = Field(description="training rows behind the feature shares")
    features: list[FeatureReference]
    score_shares: list[float] = Field(min_length=SCORE_BINS, max_length=SCORE_BINS)
    low_confidence_share: float
    quality: Quality

    @classmethod
    def of(
        cls,
        features: Sequence[Feature],
        matrix: Matrix,
        holdout_scores: npt.NDArray[np.floating],
        quality: Quality,
    ) -> "Reference":
        """The reference of a training matrix, float32 [n, F], and the holdout's scores, [m]."""
        counts = np.bincount(score_bins(holdout_scores), minlength=SCORE_BINS)
        confidence = np.maximum(holdout_scores, 1 - holdout_scores)
        return cls(
            rows=len(matrix),
            features=[FeatureReference.of(f, matrix[:, i]) for i, f in enumerate(features)],
            score_shares=_smoothed(counts),
            low_confidence_share=float(np.mean(confidence < LOW_CONFIDENCE)),
            quality=quality,
        )


def score_bins(scores: npt.NDArray[np.floating]) -> Counts:
    """Bin of each score in [0, 1]: SCORE_BINS equal bins, the last one closed; int [n]."""
    return np.clip((scores * SCORE_BINS).astype(np.int64), 0, SCORE_BINS - 1)


def _quantile_edges(column: npt.NDArray[np.float32]) -> list[float]:
    """At most nine distinct inner edges; one fewer bin where values are few."""
    present = column[~np.isnan(column)]
    if not len(present):
        return []
    inner = np.quantile(present, np.linspace(0, 1, MAX_NUMBER_BINS + 1)[1:-1], method="lower")
    edges = np.unique(inner)
    return [float(e) for e in edges[edges < present.max()]]


def _smoothed(counts: npt.NDArray[np.integer]) -> list[float]:
    """Shares with half a row added to each bin, so that no logarithm meets zero."""
    return [float(s) for s in (counts + 0.5) / (counts.sum() + 0.5 * len(counts))]

"""A predictor that is wrong on purpose: it answers 1 - p.

Its package is sound and passes evaluation, so only what is seen online can
tell. The demo's `--bad-challenger` and the tests of the rollout run
`python -m kontinual.local.faults` in the place of `kontinual.serving`.
"""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from kontinual.model import Matrix
from kontinual.serving import Predictor, application

__all__ = ["SOUND_VERSIONS", "ContraryPredictor"]

SOUND_VERSIONS = "KONTINUAL_SOUND_VERSIONS"


class ContraryPredictor(Predictor):
    """Answers wrongly, but for the versions listed in KONTINUAL_SOUND_VERSIONS."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        sound = {v.strip() for v in os.environ.get(SOUND_VERSIONS, "").split(",")}
        self.sound = self.version in sound

    def score(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        scores = super().score(matrix)
        return scores if self.sound else 1 - scores


if __name__ == "__main__":
    application(ContraryPredictor)(prog_name="python -m kontinual.local.faults")

"""The images that the components run in, one per environment.

On a laptop the runner takes an image's name for that environment's interpreter.
"""

import os

__all__ = ["CONTROL", "DATA", "TRAIN", "image"]

VERSION = "0.1.0"


def image(environment: str) -> str:
    """The image of an environment, from the registry that `KONTINUAL_REGISTRY` names."""
    registry = os.environ.get("KONTINUAL_REGISTRY", "kontinual")
    return f"{registry}/{environment}:{VERSION}"


DATA = image("data")
TRAIN = image("train")
CONTROL = image("control")

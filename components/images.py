"""The images that the components run in, one per environment.

On a laptop the runner takes an image's name for that environment's interpreter.
`python3 components/images.py serve` prints a name, for scripts.
"""

import os
import sys

__all__ = ["CONTROL", "DATA", "ENVIRONMENTS", "SERVE", "TRAIN", "image"]

VERSION = "0.1.0"
ENVIRONMENTS = ("data", "train", "serve", "control")


def image(environment: str) -> str:
    """The image of an environment, by `KONTINUAL_REGISTRY` and `KONTINUAL_TAG` where they are set.

    Raises:
        ValueError: there is no such environment.
    """
    if environment not in ENVIRONMENTS:
        raise ValueError(
            f"an environment is one of {', '.join(ENVIRONMENTS)}, but got {environment!r}"
        )
    registry = os.environ.get("KONTINUAL_REGISTRY", "kontinual")
    return f"{registry}/{environment}:{os.environ.get('KONTINUAL_TAG', VERSION)}"


DATA, TRAIN, SERVE, CONTROL = (image(environment) for environment in ENVIRONMENTS)

if __name__ == "__main__":
    try:
        print(image(" ".join(sys.argv[1:])))  # noqa: T201
    except ValueError as exc:
        sys.exit(f"components/images.py: {exc}")

"""What images, manifests and package say of themselves is one thing."""

import re
from pathlib import Path

from components.images import VERSION

ROOT = Path(__file__).parents[3]


def test_package_images_and_manifests_have_one_version() -> None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert re.findall(r'^    version="(.+)",$', setup, re.MULTILINE) == [VERSION]
    manifests = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "manifests").rglob("*")
        if path.is_file()
    )
    named = re.findall(r"kontinual/(?:control|data|serve|train):(\S+)", manifests)
    tags = re.findall(r"newTag: ([^\s}]+)", manifests)
    assert len(named) > 3
    assert tags
    assert {*named, *tags} == {VERSION}


def test_an_image_knows_the_revision_that_its_models_are_to_name() -> None:
    """Within an image there is no work tree to ask; see `kontinual.training.code_version`."""
    dockerfile = (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8")
    final = dockerfile.rpartition("\nFROM ")[2]
    assert final.index("\nARG REVISION\n") < final.index("\nENV KONTINUAL_REVISION=${REVISION}\n")

"""What every image promises, whichever its environment."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.images import ENVIRONMENTS, VERSION, image
from tests.images.containers import inspect, podman, run, run_python, uv

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.parametrize("environment", ENVIRONMENTS)

WRITABLE = """
import json, os
found = []
for folder, folders, files in os.walk("/"):
    if folder in ("/dev", "/proc", "/sys"):
        folders.clear()
    elif os.access(folder, os.W_OK):
        found.append(folder)
        folders.clear()
    else:
        paths = [os.path.join(folder, name) for name in files]
        found += [p for p in paths if os.access(p, os.W_OK) and not os.path.islink(p)]
print(json.dumps(found))
"""
COMPILERS = ["as", "c++", "cc", "clang", "cpp", "g++", "gcc", "gfortran", "ld", "make", "rustc"]
FIND_COMPILERS = f"""
import json, shutil
print(json.dumps([name for name in {COMPILERS!r} if shutil.which(name)]))
"""
INSTALLED = """
import json, sysconfig
from importlib.metadata import distributions
found = distributions(path=[sysconfig.get_path("purelib")])
python = sysconfig.get_python_version()
print(json.dumps({"python": python, "packages": {d.metadata["Name"]: d.version for d in found}}))
"""


def locked(environment: str, python: str) -> dict[str, str]:
    """Name and version of each package that the locks name for a Python."""
    marked = {"python_version": python, "python_full_version": f"{python}.0"}
    packages = {}
    for name in ("requirements.txt", "requirements-kfp.txt"):
        lock = ROOT / "images" / environment / name
        for line in lock.read_text().splitlines() if lock.exists() else []:
            if re.match(r"[a-z0-9].*==", line):
                wanted = Requirement(line.rstrip("\\ "))
                if wanted.marker is None or wanted.marker.evaluate(marked):
                    (pin,) = wanted.specifier
                    packages[canonicalize_name(wanted.name)] = pin.version
    return packages


def test_user_is_a_number_other_than_root(environment: str):
    assert inspect(environment)["Config"]["User"] == "65532:65532"
    assert run(environment, "id", "-u").strip() == "65532"


def test_nothing_but_tmp_can_be_written_to(environment: str):
    assert run_python(environment, WRITABLE) == ["/tmp"]


def test_any_other_user_finds_its_way_as_well(environment: str):
    who = "import getpass, pathlib; print(getpass.getuser(), pathlib.Path.home())"
    said = run(environment, "python", "-c", who, options=("--user=12345:0",))
    assert said.split() == ["kontinual", "/tmp"]


def test_no_compiler_is_left_in_it(environment: str):
    assert run_python(environment, FIND_COMPILERS) == []


def test_it_holds_what_its_lock_names_and_nothing_else(environment: str):
    found = run_python(environment, INSTALLED)
    packages = {canonicalize_name(name): version for name, version in found["packages"].items()}
    assert packages.pop("kontinual") == VERSION
    assert packages == locked(environment, found["python"])


def test_its_packages_agree_with_each_other(environment: str):
    check = "/uv --no-cache pip check --python /opt/kontinual/bin/python 2>&1 || true"
    said = run(environment, "sh", "-c", check, options=(f"--volume={uv()}:/uv:ro",))
    assert "Checked" in said, said
    wrong = [line for line in said.splitlines() if line.startswith("The package")]
    if environment == "data":  # takes kfp for its executor alone, without what its compiler needs
        wrong = [line for line in wrong if not line.startswith("The package `kfp` requires")]
    assert wrong == []


def test_labels_say_what_it_is_made_of(environment: str):
    labels = inspect(environment)["Config"]["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[prefix + "title"] == f"kontinual {environment}"
    assert labels[prefix + "version"] == image(environment).rsplit(":", 1)[1]
    assert labels[prefix + "licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}(\.dirty)?", labels[prefix + "revision"])
    assert re.match(r"\d{4}-\d\d-\d\dT", labels[prefix + "created"])
    assert labels[prefix + "base.name"]


def test_a_model_that_is_trained_in_it_can_name_its_code(environment: str):
    config = inspect(environment)["Config"]
    revision = config["Labels"]["org.opencontainers.image.revision"]
    assert f"KONTINUAL_REVISION={revision}" in config["Env"]


def test_nothing_of_the_builder_stays_in_it(environment: str):
    history = podman("history", "--no-trunc", "--format={{.CreatedBy}}", image(environment))
    assert not re.search(r"PIP_|https?://|pip\.conf|ca\.crt", history)
    run(environment, "sh", "-c", "! test -e /etc/pip.conf && ! test -e /etc/pip-ca.crt")

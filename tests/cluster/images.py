"""Images without an engine: archives that `ctr images import` takes.

    python -m tests.cluster.images pause PROGRAM > pause.tar
        the container that holds a pod's network
    python -m tests.cluster.images venv FOLDER
        the four images in small, and the specification by which their containers see this
        machine's environments

The small images hold no package: this work tree with its `.venv` and `.venv-data`, their
interpreter and /usr are mounted into every container, read-only. They take seconds instead of the
half hour of the real ones, which `KONTINUAL_TEST_IMAGES=built` tests.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from components.images import ENVIRONMENTS, VERSION

TREE = Path(__file__).resolve().parents[2]
# Not where it is here: a pod has a /tmp of its own, which would hide a work tree that lies there.
INSIDE = "/opt/kontinual/tree"
REGISTRY = "docker.io/kontinual"  # as a name without a registry is read by Kubernetes
PAUSE = "localhost/kontinual/pause:0"
FOLDERS = {name: ".venv-data" if name == "data" else ".venv" for name in ENVIRONMENTS}
LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What the real images set, see images/Dockerfile.
ENVIRONMENT = {
    "HOME": "/tmp",
    "USER": "kontinual",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": INSIDE,
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


def archive(entries: dict[str, bytes | str | None]) -> bytes:
    """A tar file of programs (bytes), links (the target) and folders (None)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o1777 if name == "tmp" else 0o755
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def image(name: str, layer: bytes, config: dict[str, object]) -> bytes:
    """An archive as `docker save` writes it, of one layer."""
    described = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    return archive(
        {
            "config.json": json.dumps(described).encode(),
            "layer.tar": layer,
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def pause(program: Path) -> bytes:
    """The pause container's image."""
    layer = archive({"pause": program.read_bytes()})
    return image(PAUSE, layer, {"Entrypoint": ["/pause"], "User": "65532"})


def small(environment: str) -> bytes:
    """An environment's image, which holds nothing but where to look."""
    folders = ("dev", "etc", "mnt", "proc", "root", "sys", "tmp", "usr", "var")
    links = {name: f"usr/{name}" for name in LINKS if Path("/", name).is_symlink()}
    path = f"{INSIDE}/{FOLDERS[environment]}/bin:/usr/local/bin:/usr/bin:/bin"
    variables = [f"{name}={value}" for name, value in {"PATH": path, **ENVIRONMENT}.items()]
    config = {"Env": variables, "User": "65532:65532", "WorkingDir": "/tmp", "Cmd": ["python3"]}
    name = f"{REGISTRY}/{environment}:{VERSION}"
    return image(name, archive({**dict.fromkeys(folders), **links}), config)


def runtime_spec() -> dict[str, object]:
    """containerd's own specification, with this machine's environments mounted."""
    spec: dict[str, Any] = json.loads(_output("ctr", "oci", "spec"))
    places = {Path("/usr"), Path("/etc/ssl")}
    for folder in set(FOLDERS.values()):
        python = str(TREE / folder / "bin/python")
        places.add(Path(_output(python, "-c", "import sys; print(sys.base_prefix)").strip()))
    # What Kubernetes' runtime leaves out of it as well.
    spec["process"].pop("rlimits", None)
    spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != "/run"]
    mounted = {str(p): str(p) for p in sorted(places) if not places.intersection(p.parents)}
    spec["mounts"] += [
        {"destination": inside, "source": here, "type": "bind", "options": ["rbind", "ro"]}
        for inside, here in {**mounted, INSIDE: str(TREE)}.items()
    ]
    return spec


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def main(arguments: list[str]) -> None:
    """Write what is asked for."""
    match arguments:
        case ["pause", program]:
            sys.stdout.buffer.write(pause(Path(program)))
        case ["venv", folder]:
            Path(folder).mkdir(parents=True, exist_ok=True)
            Path(folder, "runtime.json").write_text(json.dumps(runtime_spec()), "utf-8")
            for environment in ENVIRONMENTS:
                Path(folder, f"{environment}.tar").write_bytes(small(environment))
        case _:
            sys.exit("images.py: `pause PROGRAM` or `venv FOLDER` is wanted")


if __name__ == "__main__":
    main(sys.argv[1:])

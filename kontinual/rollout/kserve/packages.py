"""Model packages where KServe can fetch them: a bucket, or a volume that is mounted here too."""

import hashlib
from pathlib import Path

import fsspec

from kontinual.errors import GatewayError, SpecError
from kontinual.settings import Settings

__all__ = ["PackagePlace"]


class PackagePlace:
    """A place with one folder per model package, named by version and content."""

    def __init__(self, url: str, *, uri: str | None = None) -> None:
        """Name the place.

        Args:
            url: fsspec URL that this process writes to, such as s3://models/flights.
            uri: what KServe calls it, such as pvc://models/flights; default the same.
        """
        self._url, self._uri = url.rstrip("/"), (uri or url).rstrip("/")

    @classmethod
    def of(cls, settings: Settings, loop: str) -> "PackagePlace":
        """The place that the settings name.

        Raises:
            SpecError: they name none.
        """
        if not settings.packages:
            raise SpecError(
                "KONTINUAL_PACKAGES is not set: on a cluster it names where model packages are "
                "copied for KServe, such as s3://bucket/models"
            )
        uri = f"{settings.packages_uri.rstrip('/')}/{loop}" if settings.packages_uri else None
        return cls(f"{settings.packages.rstrip('/')}/{loop}", uri=uri)

    def put(self, version: str, package: Path) -> str:
        """Copy a package there, and return what KServe calls the copy.

        A folder's name tells its content, so a copy that a killed process left half done is
        completed, and a version number that a new registry gives again names another folder.

        Raises:
            GatewayError: it can not be read or written.
        """
        try:
            files = sorted(p for p in package.rglob("*") if p.is_file())
            if not files:
                raise GatewayError(f"{package}: version {version} has no model package here")
            name = f"{version}-{_digest(package, files)}"
            filesystem, root = fsspec.url_to_fs(f"{self._url}/{name}")
            for path in files:
                target = f"{root}/{path.relative_to(package).as_posix()}"
                filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
                filesystem.put_file(str(path), target)
        except (OSError, ValueError, ImportError) as exc:
            raise GatewayError(
                f"{self._url}: the package of version {version} can not be copied there: {exc}"
            ) from exc
        return f"{self._uri}/{name}"


def _digest(package: Path, files: list[Path]) -> str:
    """Of names and contents; 12 digits tell one loop's packages of one number apart."""
    total = hashlib.sha256()
    for path in files:
        total.update(path.relative_to(package).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]

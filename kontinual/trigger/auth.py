"""Who is asking, and what may they: named tokens and client certificates, each with scopes."""

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kontinual.errors import SpecError

__all__ = ["Credential", "Doorkeeper", "Identity", "Scope", "load_credentials"]

BEARER = "Bearer "


class Scope(StrEnum):
    """What a request needs."""

    ALERT = "alert"  # deliver alerts, nothing else: Alertmanager's
    READ = "read"
    WRITE = "write"  # ask, approve, pause, stop, roll back


@dataclass(frozen=True)
class Identity:
    """Somebody who is known, or nobody in particular."""

    name: str
    scopes: frozenset[Scope]
    known: bool = True

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes


class Credential(BaseModel):
    """One who may ask: known by a token, or by the common name of a client certificate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="stands in the ledger as `who`")
    scopes: frozenset[Scope] = Field(min_length=1)
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="of the token, in hexadecimal; left out: a client certificate of this name",
    )

    @classmethod
    def of_token(cls, token: str, *, name: str, scopes: Iterable[Scope]) -> "Credential":
        return cls(name=name, scopes=frozenset(scopes), sha256=_digest(token))


class Doorkeeper:
    """Tells who a request is from."""

    def __init__(
        self,
        credentials: Sequence[Credential],
        *,
        for_anybody: Iterable[Scope] = (),
        for_any_certificate: Iterable[Scope] = (),
        hosts: Collection[str] = (),
    ) -> None:
        """Set up a doorkeeper.

        Args:
            credentials: of those who are known.
            for_anybody: scopes that need no credential.
            for_any_certificate: scopes of a client certificate that no credential names;
                the server has checked that its authority signed it.
            hosts: names and addresses by which who has no credential has to call the
                service; empty: any.
        """
        self._tokens = [c for c in credentials if c.sha256 is not None]
        self._certificates = {c.name: c for c in credentials if c.sha256 is None}
        self._anybody = Identity("anybody", frozenset(for_anybody), known=False)
        self._any_certificate = frozenset(for_any_certificate)
        self._hosts = frozenset(hosts)

    def identify(
        self, authorization: str | None, certificate: str | None = None, *, host: str = ""
    ) -> Identity:
        """Who asks.

        Args:
            authorization: the header of that name.
            certificate: common name of the client's.
            host: name or address by which the service is called.
        """
        found = self._by_token(authorization) or self._by_certificate(certificate)
        if found is None:
            is_near = not self._hosts or host in self._hosts
            return self._anybody if is_near else Identity("anybody", frozenset(), known=False)
        return Identity(found.name, found.scopes | self._anybody.scopes)

    def credential(self, name: str) -> Credential | None:
        """The credential of this name, if it is one that is shown as a token."""
        return next((c for c in self._tokens if c.name == name), None)

    def _by_token(self, authorization: str | None) -> Credential | None:
        """Compares digests in constant time, and all of them: how long it takes tells nothing."""
        if authorization is None or not authorization.startswith(BEARER):
            return None
        digest = _digest(authorization.removeprefix(BEARER))
        fits = [c for c in self._tokens if hmac.compare_digest(str(c.sha256), digest)]
        return fits[0] if fits else None

    def _by_certificate(self, name: str | None) -> Credential | None:
        if name is None:
            return None
        if name in self._certificates:
            return self._certificates[name]
        if not self._any_certificate:
            return None
        return Credential(name=name[:100], scopes=self._any_certificate)


def load_credentials(path: Path) -> list[Credential]:
    """The credentials in a JSON file: a list of {name, scopes, sha256}.

    Raises:
        SpecError: the file can not be read, or an entry is wrong or twice there.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = TypeAdapter(list[Credential]).validate_python(json.loads(text), strict=False)
    except OSError as exc:
        raise SpecError(f"{path}: the credentials can not be read: {exc}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"{path}: credential {place}: {first['msg']}") from exc
    except ValueError as exc:
        raise SpecError(f"{path}: the credentials are not JSON: {exc}") from exc
    names = [c.name for c in found]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SpecError(f"{path}: each name stands once, but {twice} recur")
    return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()

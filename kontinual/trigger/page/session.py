"""Who looks at the page: a signed cookie, and tokens that tie a form to the browser it was sent to.

The cookie holds a name and a moment, no secret. Its signature covers the digest of the credential
too, so that a session ends with the credential that opened it. Nothing is
kept here: each replica with the same key knows the sessions of the others.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kontinual.trigger.auth import Doorkeeper, Identity

__all__ = ["LIFETIME", "Sessions", "Visit", "session_key"]

LIFETIME = timedelta(hours=12)
STRETCHES = 600_000  # of PBKDF2 with SHA-256, as OWASP's Password Storage Cheat Sheet has it


@dataclass(frozen=True)
class Visit:
    """One browser, and who sits before it."""

    cookie: str
    identity: Identity
    signed_in: bool


def session_key(token: str) -> bytes:
    """The key of signatures: from the service's own token, so that all replicas have the same.

    Who has that token may do all anyway. Where there is none the key is new with each
    process, and a restart asks everybody to sign in again. Everybody is given a cookie that
    is signed by it, so it takes a while to make: a token that a person thought up could be
    guessed by it, as fast as a machine can hash.
    """
    if not token:
        return secrets.token_bytes(32)
    return hashlib.pbkdf2_hmac("sha256", token.encode(), b"kontinual page", STRETCHES)


class Sessions:
    """Opens and recognises visits.

    Args:
        doorkeeper: knows the credentials.
        key: of signatures, at least 32 bytes.
        clock: tells the time.
    """

    def __init__(self, doorkeeper: Doorkeeper, key: bytes, *, clock: Callable[[], datetime]):
        self._doorkeeper = doorkeeper
        self._key = key
        self._clock = clock

    def visit(self, cookie: str | None, known: Identity) -> Visit:
        """The visit that a cookie tells of; a new one where it tells nothing (any more).

        Args:
            cookie: as the browser sent it.
            known: who the guard found by header or client certificate, perhaps nobody.
        """
        name = self._name_in(cookie) if cookie else None
        if cookie is None or name is None:
            return Visit(self._cookie("", digest=""), known, signed_in=False)
        credential = self._doorkeeper.credential(name) if name else None
        if credential is None or known.known:
            return Visit(cookie, known, signed_in=False)
        identity = Identity(credential.name, credential.scopes | known.scopes)
        return Visit(cookie, identity, signed_in=True)

    def sign_in(self, token: str) -> Visit | None:
        """A new visit of who has this token; None when nobody has."""
        identity = self._doorkeeper.identify(f"Bearer {token}")
        credential = self._doorkeeper.credential(identity.name) if identity.known else None
        if credential is None or credential.sha256 is None:
            return None
        return Visit(self._cookie(identity.name, digest=credential.sha256), identity, True)

    def form_token(self, visit: Visit) -> str:
        """What a form sent to this visit has to bring back."""
        return self._sign("form", visit.cookie, visit.identity.name)

    def is_own_form(self, visit: Visit, token: str) -> bool:
        """Does a form come from a page that this visit was shown?"""
        return hmac.compare_digest(self.form_token(visit).encode(), token.encode())

    def _cookie(self, name: str, *, digest: str) -> str:
        told = [name, int(self._clock().timestamp()), secrets.token_urlsafe(16)]
        payload = base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
        return f"{payload}.{self._sign('visit', payload, digest)}"

    def _name_in(self, cookie: str) -> str | None:
        """The name in a cookie that is ours and not too old; empty for somebody not signed in."""
        payload, _, signature = cookie.rpartition(".")
        try:
            name, since, _nonce = json.loads(base64.urlsafe_b64decode(payload))
            credential = self._doorkeeper.credential(str(name)) if name else None
            digest = credential.sha256 or "" if credential else ""
            age = self._clock().timestamp() - int(since)
        except (ValueError, TypeError):
            return None
        own = self._sign("visit", payload, digest)
        if not hmac.compare_digest(own.encode(), signature.encode()):
            return None
        return str(name) if 0 <= age <= LIFETIME.total_seconds() else None

    def _sign(self, *parts: str) -> str:
        text = json.dumps(parts).encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

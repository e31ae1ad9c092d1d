"""uvicorn's HTTP protocol, which also tells whose client certificate a connection has."""

from asyncio import Transport
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["PeerProtocol", "common_name"]


class PeerProtocol(H11Protocol):
    """Puts the common name of the client's certificate into each request's state.

    The TLS layer has checked by then that the authority signed it.
    """

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        name = common_name(certificate) if certificate else None
        self.app_state = {**self.app_state, "certificate": name}


def common_name(certificate: dict[str, Any]) -> str | None:
    """The common name of a certificate, as `ssl` tells it; None without one."""
    parts = [pair for group in certificate.get("subject", ()) for pair in group]
    return next((value for key, value in parts if key == "commonName"), None)

"""Mutual TLS: who has a certificate of the right authority is known by its name."""

import ipaddress
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).parents[3]
LOOP = ROOT / "examples" / "flights" / "loop.yaml"
NOW = datetime.now(UTC)


class Authority:
    """Signs certificates and keeps them, with their keys, in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(*[False] * 5, True, *[False] * 3)  # to sign certificates
        builder = self._builder(self._name, self._key).add_extension(usage, critical=True)
        ca = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = folder / f"{name}.pem"
        self.certificate.write_bytes(self._signed(ca))

    def sign(self, name: str) -> tuple[str, str]:
        """Files of a certificate and of its key; good for a server on 127.0.0.1 as well."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = self._builder(subject, key).add_extension(here, critical=False)
        paths = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        paths[0].write_bytes(self._signed(builder))
        form = serialization.PrivateFormat.PKCS8
        plain = serialization.NoEncryption()
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
        return str(paths[0]), str(paths[1])

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        mine = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(mine, critical=False)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def url(authority: Authority, port: int, prometheus, until, tmp_path: Path) -> Iterator[str]:
    """The service as it is started in a container: reachable from elsewhere, without a token."""
    certificate, key = authority.sign("server")
    known = [{"name": "alertmanager", "scopes": ["alert"]}, {"name": "ana", "scopes": ["write"]}]
    (tmp_path / "credentials.json").write_text(json.dumps(known))
    settings = {
        "HOME": str(tmp_path),
        "PROMETHEUS": prometheus.url,
        "CREDENTIALS": str(tmp_path / "credentials.json"),
        "TLS_CERT": certificate,
        "TLS_KEY": key,
        "TLS_CLIENT_CA": str(authority.certificate),
    }
    command = [sys.executable, "-m", "kontinual.trigger", "--loop", str(LOOP)]
    with (tmp_path / "service.log").open("wb") as log:
        service = subprocess.Popen(
            [*command, "--host", "0.0.0.0", "--port", str(port)],  # noqa: S104
            env=os.environ | {f"KONTINUAL_{k}": v for k, v in settings.items()},
            stderr=log,
        )
    address = f"https://127.0.0.1:{port}"

    def healthy() -> bool:
        assert service.poll() is None, (tmp_path / "service.log").read_text()
        try:
            with call(address, authority) as client:
                return client.get("/healthz").is_success
        except httpx.TransportError:
            return False

    try:
        until(healthy, 60)
        yield address
    finally:
        service.terminate()
        service.wait(timeout=30)


def call(url: str, trusted: Authority, *, by: tuple[str, str] | None = None) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(trusted.certificate))
    if by is not None:
        context.load_cert_chain(*by)
    return httpx.Client(base_url=url, verify=context, trust_env=False)


def test_certificates_are_names_with_scopes_and_others_are_nobody(
    url: str, authority: Authority, tmp_path: Path, post: Callable[..., object], loop
) -> None:
    delivery = post(loop, at=NOW)
    seen = {}
    for name in ("alertmanager", "ana", "stranger"):
        with call(url, authority, by=authority.sign(name)) as client:
            alerts = client.post("/api/v1/alerts", json=delivery).status_code
            pause = client.post("/api/v1/pause", json={"reason": "a look"})
            seen[name] = (alerts, pause.status_code)
            if pause.is_success:
                assert pause.json()["paused"]["by"] == "ana"
    assert seen == {"alertmanager": (202, 403), "ana": (403, 200), "stranger": (401, 401)}
    with call(url, authority) as nobody:
        assert nobody.get("/api/v1/status").status_code == 401
        assert nobody.get("/metrics").status_code == 200, "a scrape needs no name"
    forged = Authority(tmp_path, "another-authority").sign("ana")
    with call(url, authority, by=forged) as forger, pytest.raises(httpx.TransportError):
        forger.get("/api/v1/status")

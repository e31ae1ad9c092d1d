import os
import socket

import pytest

from kontinual.errors import ServiceError
from kontinual.local.ports import address_of, first_free_port, free_ports, is_free, require_free


def test_an_address_is_read_from_a_url() -> None:
    assert address_of("http://127.0.0.1:18080/", setting="X") == ("127.0.0.1", 18080)


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1", "127.0.0.1:80", "http://h:port", "http://:80"]
)
def test_an_address_without_host_or_port_names_the_setting(url: str) -> None:
    with pytest.raises(ServiceError, match=r"^KONTINUAL_X must be a URL with host and port.*got '"):
        address_of(url, setting="KONTINUAL_X")


def test_several_free_ports_are_different_and_can_be_taken() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free("127.0.0.1", port) for port in ports)


def test_a_busy_port_is_not_free_and_the_message_names_service_holder_and_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ServiceError) as refusal:
            require_free("127.0.0.1", port, service="envoy", remedy="set KONTINUAL_GATEWAY_URL")
    assert str(refusal.value).startswith(f"envoy needs 127.0.0.1:{port}, but process {os.getpid()}")
    assert str(refusal.value).endswith("listens there; set KONTINUAL_GATEWAY_URL")


def test_a_port_of_just_closed_connections_counts_as_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            accepted.close()  # this side closes first, so it lingers in TIME_WAIT
    assert is_free("127.0.0.1", port)


def test_the_first_free_candidate_is_taken_unless_it_is_promised() -> None:
    low, middle, high = sorted(free_ports(3))
    assert first_free_port("127.0.0.1", [low, middle], taken=[low]) == middle
    with socket.create_server(("127.0.0.1", low)):
        assert first_free_port("127.0.0.1", [low, high]) == high
    assert first_free_port("127.0.0.1", [70_000]) < 65_536

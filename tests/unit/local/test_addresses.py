"""A stack beside another one: the next ports where some are taken, for all its commands."""

import socket
from pathlib import Path

import pytest

from kontinual.home import settings_of
from kontinual.local.addresses import with_free_addresses
from kontinual.local.ports import address_of, free_ports
from kontinual.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    names = ["prometheus", "alertmanager", "collector", "trigger", "gateway_url", "gateway_admin"]
    for name in ["home", *names]:
        monkeypatch.delenv(f"KONTINUAL_{name.upper()}", raising=False)
    urls = [f"http://127.0.0.1:{port}" for port in free_ports(6)]
    return settings_of(tmp_path / "loop.yaml").model_copy(
        update=dict(zip(names, urls, strict=True))
    )


def test_only_what_is_taken_moves_and_later_commands_find_it(
    settings: Settings, tmp_path: Path
) -> None:
    place = address_of(settings.trigger, setting="")
    with socket.create_server(place):
        chosen = with_free_addresses(settings)
    assert chosen.trigger != settings.trigger
    assert chosen.model_copy(update={"trigger": settings.trigger}) == settings
    assert settings_of(tmp_path / "loop.yaml") == chosen


def test_what_the_environment_names_stays_even_when_it_is_taken(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KONTINUAL_TRIGGER", settings.trigger)
    with socket.create_server(address_of(settings.trigger, setting="")):
        assert with_free_addresses(settings).trigger == settings.trigger
    assert settings_of(tmp_path / "loop.yaml").trigger == settings.trigger

import importlib.util
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from kontinual.trigger.ledger import utc_now

# Debian's Chromium as root, on a machine that may have no network.
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PATIENCE_MS = 30_000


def _load_world() -> Any:
    """The module beside; tests are no package."""
    name = "page_world"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("world.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@retry(
    stop=stop_after_delay(60),
    wait=wait_fixed(0.1),
    retry=retry_if_exception_type((httpx.TransportError, httpx.HTTPStatusError)),
    reraise=True,
)
def _wait_for(url: str) -> None:
    httpx.get(url).raise_for_status()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A service with a month of history, and a real Prometheus that knows its figures."""
    module, folder, now = _load_world(), tmp_path_factory.mktemp("page"), utc_now()
    with module.prometheus(folder, _free_port(), now) as prometheus_url:
        _wait_for(f"{prometheus_url}/-/ready")
        made = module.World(folder, port=_free_port(), prometheus_url=prometheus_url, now=now)
        try:
            _wait_for(f"{made.url}/sign-in")
            yield made
        finally:
            made.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "there is no chromium; tools/browser.sh installs it"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="session")
def signed_in(browser: Browser, world: Any) -> Callable[[str], Any]:
    """Signs in by the form, once for each who; the cookies they have then."""

    @cache
    def cookies_of(who: str) -> Any:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{world.url}/sign-in")
        page.get_by_label("Token").fill(f"{who}-token")
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        page.wait_for_url(world.page)
        cookies = context.storage_state()
        context.close()
        return cookies

    return cookies_of


@pytest.fixture
def visit(
    browser: Browser, world: Any, signed_in: Callable[[str], Any]
) -> Iterator[Callable[..., Page]]:
    """Opens the loop's page in a fresh browser, signed in; whatever it complains of fails."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(who: str = "ada", **options: Any) -> Page:
        context = browser.new_context(storage_state=signed_in(who), **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.goto(world.page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def http(world: Any) -> Iterator[httpx.Client]:
    """A browser without a window, not signed in."""
    with httpx.Client(base_url=world.url) as client:
        yield client

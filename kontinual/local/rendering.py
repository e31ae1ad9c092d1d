"""Everything the stack's services read, rendered from the loop and the settings."""

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from kontinual.local.ports import address_of
from kontinual.local.programs import write_private
from kontinual.local.services import Files
from kontinual.monitoring import render_alertmanager, render_prometheus, render_rules
from kontinual.rollout.envoy_config import prepare_envoy
from kontinual.settings import Settings
from kontinual.spec import Loop

__all__ = ["keep_token", "render_files"]


def render_files(loop: Loop, settings: Settings, files: Files, *, predictors: Path) -> bool:
    """Write the configuration of Prometheus, Alertmanager and Envoy.

    Envoy's clusters and routes that are there already stay: they hold the
    weights of before.

    Args:
        loop: the declaration.
        settings: addresses and speed-up.
        files: where to write.
        predictors: Prometheus' file_sd list of predictors.

    Returns:
        Did Prometheus' or Alertmanager's configuration change?
    """
    speedup = settings.speedup
    rendered = {
        files.rules: render_rules(loop, speedup=speedup),
        files.prometheus: render_prometheus(
            loop,
            predictors_file=predictors,
            collector=_target(settings.collector),
            trigger=_target(settings.trigger),
            alertmanager=_target(settings.alertmanager),
            envoy=_target(settings.gateway_admin),
            rules_file=files.rules,
            speedup=speedup,
        ),
        files.alertmanager: render_alertmanager(
            loop, trigger_url=settings.trigger, token_file=files.token, speedup=speedup
        ),
    }
    _, listen_port = address_of(settings.gateway_url, setting="KONTINUAL_GATEWAY_URL")
    host, admin_port = address_of(settings.gateway_admin, setting="KONTINUAL_GATEWAY_ADMIN")
    prepare_envoy(admin_port=admin_port, listen_port=listen_port, host=host, folder=files.envoy)
    changed = [write_private(path, text) for path, text in rendered.items()]
    return any(changed)


def keep_token(files: Files, given: str) -> str:
    """The webhook's bearer token: the given one, the one of before, or a new one."""
    if not given and files.token.is_file():
        return files.token.read_text(encoding="ascii").strip()
    token = given or secrets.token_urlsafe(32)
    write_private(files.token, token)
    return token


def _target(url: str) -> str:
    return urlsplit(url).netloc

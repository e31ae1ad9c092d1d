"""`kontinual render`: everything that is made from a declaration."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kontinual.errors import SpecError
from kontinual.monitoring import (
    render_alertmanager,
    render_prometheus,
    render_rules,
    render_rules_test,
)
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop

__all__ = ["app"]

app = typer.Typer()


class Target(StrEnum):
    """Where the rendered files are to be used."""

    LOCAL = "local"


@app.command()
def render(
    loop: Annotated[Path, typer.Argument(metavar="LOOP", help="path of loop.yaml")],
    out: Annotated[Path, typer.Option(help="folder to write to; created when absent")],
    speedup: Annotated[
        float | None,
        typer.Option(min=1, help="how many times faster than the clock; default KONTINUAL_SPEEDUP"),
    ] = None,
    target: Annotated[Target, typer.Option(help="where they are used")] = Target.LOCAL,
) -> None:
    """Render a loop's configuration: rules.yml, its suite, prometheus.yml, alertmanager.yml, Envoy.

    Check the result with `promtool check config prometheus.yml`, `promtool test
    rules rules_test.yml` and `amtool check-config alertmanager.yml`.
    """
    declaration, settings = load_loop(str(loop)), Settings()
    folder = out.resolve()
    rendered = _rendered(declaration, settings, speedup or settings.speedup, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in rendered.items():
            _write(folder / name, text)
        _write_envoy(settings, folder / "envoy")
    except OSError as exc:
        raise SpecError(f"--out {out}: can not be written: {exc}") from exc
    for name in [*rendered, "envoy/"]:
        print(f"{out / name}")
    print(f"rendered loop {declaration.name} for target {target.value}")


def _rendered(loop: Loop, settings: Settings, speedup: float, folder: Path) -> dict[str, str]:
    return {
        "rules.yml": render_rules(loop, speedup=speedup),
        "rules_test.yml": render_rules_test(loop, speedup=speedup),
        "prometheus.yml": render_prometheus(
            loop,
            collector=settings.collector,
            trigger=settings.trigger,
            envoy=settings.gateway_admin,
            alertmanager=settings.alertmanager,
            speedup=speedup,
        ),
        "alertmanager.yml": render_alertmanager(
            loop, trigger_url=settings.trigger, token_file=folder / "token", speedup=speedup
        ),
    }


def _write(path: Path, text: str) -> None:
    """Write a whole file or none."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _write_envoy(settings: Settings, folder: Path) -> None:
    """Envoy's files, by the code that moves them later; files with weights in them stay."""
    from kontinual.local.ports import address_of
    from kontinual.rollout.envoy_config import prepare_envoy

    _, listen_port = address_of(settings.gateway_url, setting="KONTINUAL_GATEWAY_URL")
    host, admin_port = address_of(settings.gateway_admin, setting="KONTINUAL_GATEWAY_ADMIN")
    prepare_envoy(admin_port=admin_port, listen_port=listen_port, host=host, folder=folder)

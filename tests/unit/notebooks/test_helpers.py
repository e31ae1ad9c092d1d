"""What notebooks lean on: a home that hurts nobody else's, and reports that stay in their frame."""

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kontinual.errors import ServiceError, SpecError
from kontinual.notebook import Report, fresh_home
from kontinual.settings import Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a home exports is forgotten after the test."""
    monkeypatch.setattr(os, "environ", dict(os.environ))


class Frames(HTMLParser):
    """The frames of a page, and what else stands in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.frames: list[dict[str, str | None]] = []
        self.others: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "iframe":
            self.frames.append(dict(attrs))
        else:
            self.others.append(tag)


def test_a_home_is_emptied_of_what_an_earlier_execution_left(tmp_path: Path):
    folder = tmp_path / "home"
    fresh_home(folder)
    (folder / "left").mkdir()
    fresh_home(folder)
    assert not (folder / "left").exists()


def test_a_folder_with_other_things_is_refused_and_untouched(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SpecError, match="holds other things; name a folder for this notebook"):
        fresh_home(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_processes_read_the_settings_that_a_home_was_made_with(tmp_path: Path):
    settings = fresh_home(tmp_path / "home", speedup=50)
    assert os.environ["KONTINUAL_SPEEDUP"] == "50.0"
    assert Settings.model_validate({}).home == settings.home
    addresses = [settings.prometheus, settings.collector, settings.trigger, settings.gateway_url]
    assert len(set(addresses)) == 4


def test_a_report_stays_in_its_frame_whatever_it_holds():
    page = '<html><style>body{display:none}</style><script>x="</iframe>"</script>'
    seen = Frames(Report(page)._repr_html_())
    (frame,) = seen.frames
    assert seen.others == []
    assert frame["srcdoc"] == page
    assert frame["sandbox"] == ""


def test_a_step_without_a_report_is_named(tmp_path: Path):
    settings = Settings(home=tmp_path)
    folder = tmp_path / "runs" / "first" / "artifacts" / "loop-1" / "evaluate"
    folder.mkdir(parents=True)
    (folder / "report").write_text("<!doctype html><html>blessed</html>")
    (folder / "executor_output.json").write_text("{}")
    assert "blessed" in Report.of_step(settings, "first", "evaluate").page
    with pytest.raises(ServiceError, match="step 'validate' of run 'first' left no HTML report"):
        Report.of_step(settings, "first", "validate")

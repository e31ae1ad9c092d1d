from pathlib import Path

import pytest
from pydantic import SecretStr

from kontinual.local.environment import settings_environment
from kontinual.settings import Settings


def test_a_service_reads_the_settings_of_its_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Settings(
        home=tmp_path / "home", collector="http://127.0.0.1:7", speedup=60.5, token=SecretStr("t")
    )
    for name, value in settings_environment(given, token="t").items():
        monkeypatch.setenv(name, value)
    read = Settings()
    assert read == given.model_copy(update={"data_python": given.data_python.absolute()})
    assert read.token.get_secret_value() == "t"


def test_the_token_is_told_to_none_who_does_not_need_it() -> None:
    assert "KONTINUAL_TOKEN" not in settings_environment(Settings(token=SecretStr("secret")))


def test_paths_hold_wherever_the_service_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = settings_environment(
        Settings(home=Path("h"), data_python=Path(".venv-data/bin/python"))
    )
    assert environment["KONTINUAL_HOME"] == str(tmp_path / "h")
    assert environment["KONTINUAL_DATA_PYTHON"] == str(tmp_path / ".venv-data/bin/python")


def test_the_data_environment_is_found_in_the_source_tree_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KONTINUAL_DATA_PYTHON", raising=False)
    monkeypatch.chdir(tmp_path)
    usual = Path(".venv-data/bin/python")
    assert Settings().data_python == Path(__file__).parents[3] / usual
    usual.parent.mkdir(parents=True)
    usual.touch()
    assert Settings().data_python == usual


def test_an_interpreter_named_by_one_word_stays_to_be_found_on_path() -> None:
    environment = settings_environment(Settings(data_python=Path("python3.11")))
    assert environment["KONTINUAL_DATA_PYTHON"] == "python3.11"

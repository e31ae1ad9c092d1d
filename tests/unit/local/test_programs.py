import shlex
from configparser import RawConfigParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.datatypes import dict_of_key_value_pairs
from supervisor.options import UnhosedConfigParser

from kontinual.errors import ServiceError
from kontinual.local.programs import Program, render_program, write_private

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


def read_back(text: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment as supervisord's own parser understands them."""
    parser = UnhosedConfigParser()
    parser.read_string(text)
    section = "program:it"
    parser.expansions = {}
    command = shlex.split(RawConfigParser.get(parser, section, "command") % {})
    environment = RawConfigParser.get(parser, section, "environment", fallback="") % {}
    return command, dict_of_key_value_pairs(environment)


@given(words=st.lists(PRINTABLE, min_size=1, max_size=4), value=PRINTABLE)
def test_supervisord_reads_the_command_and_environment_that_were_meant_or_we_refuse(
    words: list[str], value: str
) -> None:
    command = ["program", *words]
    program = Program(name="it", command=command, environment={"A": value}, directory=Path("/"))
    try:
        text = render_program(program, log=Path("/log"))
    except ServiceError:
        joined = shlex.join(command)
        quotes = {'"', "'"} <= set(value) or value.strip("'\"") != value
        assert quotes or " ;" in joined + value or " #" in joined + value
        return
    understood, environment = read_back(text)
    assert understood == command
    assert environment == {"A": value}


@pytest.mark.parametrize("value", ["a\nb", "a ;b", "a #b"])
def test_what_supervisord_would_cut_off_is_refused(value: str) -> None:
    program = Program(name="it", command=["x", value], directory=Path("/"))
    with pytest.raises(ServiceError, match="supervisord can not be told command = "):
        render_program(program, log=Path("/log"))


def test_a_private_file_is_for_its_owner_alone_and_tells_of_changes(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "token"
    assert write_private(path, "one")
    assert not write_private(path, "one")
    assert write_private(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["token"]

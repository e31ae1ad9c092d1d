"""Each component can be used alone, and what its folder says of it is so."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from kfp import compiler, components, dsl
from kfp.dsl.base_component import BaseComponent
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipelines.compile import COMPONENTS, ROOT
from pipelines.readme import EXAMPLES, MARK, readme

Text = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Dependency(Strict):
    name: Text
    version: Annotated[str, Field(pattern=r"^(==|>=|<=|~=)?\d+\.\d+\.\d+$")]


class Dependencies(Strict):
    kubeflow: list[Dependency]
    external_services: list[Dependency] = []


class Metadata(Strict):
    """What kubeflow/pipelines-components asks of a `metadata.yaml` (its metadata_schema.json)."""

    name: Text
    stability: Literal["alpha", "beta", "stable"]
    dependencies: Dependencies
    lastVerified: AwareDatetime  # noqa: N815
    tags: Annotated[list[Text], Field(min_length=1)]
    ci: dict[Literal["skip_dependency_probe"], bool]


@pytest.fixture(params=COMPONENTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(name: str) -> Path:
    return ROOT / "components" / name


@pytest.fixture
def loaded(folder: Path) -> BaseComponent:
    return components.load_component_from_file(str(folder / "component.yaml"))


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """The table below a heading: the cells of each row by the first one's name."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


def test_it_is_loaded_from_its_yaml_alone(name: str, loaded: BaseComponent):
    assert loaded.name == name
    assert loaded.description
    assert list(loaded.pipeline_spec.deployment_spec["executors"]) == [f"exec-{name}"]


def test_its_metadata_has_the_form_of_the_ecosystems_repository(name: str, folder: Path):
    metadata = Metadata.model_validate(yaml.safe_load((folder / "metadata.yaml").read_text()))
    assert metadata.name == name
    assert metadata.dependencies.kubeflow[0].name == "Pipelines"


def test_its_metadata_asks_for_the_kfp_that_compiled_it(folder: Path):
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    compiled = yaml.safe_load((folder / "component.yaml").read_text())["sdkVersion"]
    wanted = metadata["dependencies"]["kubeflow"][0]["version"]
    assert wanted.removeprefix(">=") == compiled.removeprefix("kfp-")


def test_its_readme_lists_every_input_and_output_with_its_type(name: str, folder: Path):
    """The oracle is the compiled YAML, read without kfp's own names of the types."""
    interface: dict[str, Any] = yaml.safe_load((folder / "component.yaml").read_text())
    component = interface["components"][f"comp-{name}"]
    types = {"STRING": "str", "NUMBER_INTEGER": "int", "BOOLEAN": "bool"}
    text = (folder / "README.md").read_text()
    for heading, key in {"Inputs": "inputDefinitions", "Outputs": "outputDefinitions"}.items():
        defined = component[key]
        expected = {n: types[p["parameterType"]] for n, p in defined["parameters"].items()}
        expected |= {
            n: a["artifactType"]["schemaTitle"].replace("system.", "dsl.")
            for n, a in defined.get("artifacts", {}).items()
        }
        listed = rows(text, heading)
        assert {n: kind for n, (kind, _) in listed.items()} == expected
        assert all(description for _, description in listed.values())


def test_its_readme_says_what_its_metadata_says(folder: Path):
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    text = (folder / "README.md").read_text()
    assert f"- **Stability**: {metadata['stability']}\n" in text
    assert f"- **Tags**: {', '.join(metadata['tags'])}\n" in text


def test_its_example_is_a_pipeline_that_compiles(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert code
    monkeypatch.chdir(ROOT)
    space: dict[str, Any] = {}
    exec(code[1], space)  # noqa: S102  an example that is not run is wrong one day
    compiler.Compiler().compile(space[f"only_{name}"], str(tmp_path / "pipeline.yaml"))
    tasks = yaml.safe_load((tmp_path / "pipeline.yaml").read_text())["root"]["dag"]["tasks"]
    assert list(tasks) == [name]


def test_what_was_written_by_hand_is_kept_when_the_rest_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    @dsl.component(base_image="python:3.12")
    def greet(name: str) -> str:
        """Say a word.

        Args:
            name: Of whom.

        Returns:
            The word.
        """
        return name

    (tmp_path / "metadata.yaml").write_bytes((ROOT / "components/tune/metadata.yaml").read_bytes())
    (tmp_path / "README.md").write_text(f"# Old\n\n{MARK}\n\nBy hand.\n")
    monkeypatch.setitem(EXAMPLES, "name", "me")
    compiler.Compiler().compile(greet, str(tmp_path / "component.yaml"))
    text = readme(components.load_component_from_file(str(tmp_path / "component.yaml")), tmp_path)
    assert text.startswith("# Greet\n\nSay a word.\n")
    assert text.endswith(f"{MARK}\n\nBy hand.\n")
    assert "| `name` | `str` | Of whom. |" in text
    assert "| `Output` | `str` | The word. |" in text

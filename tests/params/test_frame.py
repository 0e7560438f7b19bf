"""What is written down twice agrees: schema and documents, and the three lists of dependencies."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from imdm.errors import UserError
from imdm.params import load_params
from imdm.params.schema import DOCUMENT, SCHEMA, document, schema
from imdm.stage.reads import of_stages

ROOT = Path(__file__).resolve().parents[2]
READS = of_stages(ROOT / "stages")


def lock() -> dict[str, str]:
    """Package: version, of requirements.lock."""
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def direct() -> list[Requirement]:
    """What pyproject.toml asks for, for the runtime and the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["test"]]


def test_schema_and_parameter_table_are_those_of_the_code():
    assert json.loads((ROOT / SCHEMA).read_text()) == schema(), "run: PYTHONPATH=src python -m imdm.params.schema"
    assert (ROOT / DOCUMENT).read_text() == document(), "run: PYTHONPATH=src python -m imdm.params.schema"


def test_every_parameter_is_described():
    assert " |  |\n" not in document()


@pytest.mark.parametrize("path", ["params.yaml", "tests/micro.yaml", *(f"presets/{path.name}" for path in ROOT.glob("presets/*.yaml"))])
def test_parameter_files_are_valid_and_say_everything_that_a_stage_reads(path):
    params = load_params(ROOT / path)
    tree = yaml.safe_load((ROOT / path).read_text())
    jsonschema.validate(tree, schema())
    for key in {key for keys in READS.values() for key in keys if key != "mask_settings"}:  # DVC asks for them by name
        value = tree
        for part in key.split("."):
            assert part in value, f"{path} lacks {key}"
            value = value[part]
    assert params.models()


def test_params_yaml_leaves_no_key_to_its_default():
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, value in load_params(ROOT / "params.yaml").model_dump(exclude={"variants"}).items():
        assert name in tree
        if isinstance(value, dict):
            assert set(value) == set(tree[name]), name


def test_params_yaml_names_its_schema():
    assert (ROOT / "params.yaml").read_text().splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA}"


def test_rectified_follows_the_recipes():
    with pytest.raises(UserError, match=r"compare.rectified must be \[sdtt2\]"):
        load_params(ROOT / "params.yaml", ["compare.recipes=[redi, sdtt2-redi]"])


def test_lock_pins_what_the_project_asks_for():
    pins = lock()
    for requirement in direct():
        version = pins.get(canonicalize_name(requirement.name))
        assert version and requirement.specifier.contains(version), requirement
    assert not [version for version in pins.values() if "+" in version or "/" in version or "@" in version]


def test_conda_environment_is_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    pins = lock()
    assert pip == [f"{name}=={pins[name]}" for name in (canonicalize_name(requirement.name) for requirement in direct())]

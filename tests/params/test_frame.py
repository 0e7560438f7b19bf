"""What is written down twice agrees: schema and documents, and the three lists of dependencies."""

from __future__ import annotations

import json
import re
import sys
import tomllib

import jsonschema
import pytest
import yaml
from dvc.utils.serialize import modify_yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from checkout import ROOT
from imdm.params import load_params, resolved_yaml
from imdm.stage.reads import keys, of_stages

sys.path.append(str(ROOT / "docs"))
from parameters import DOCUMENT, SCHEMA, document, schema  # noqa: E402

READS, PARAMS = of_stages(ROOT / "stages"), ROOT / "params.yaml"


def lock(name: str = "requirements-cuda.lock") -> dict[str, str]:
    """Package: version, of a lock file."""
    return dict(re.findall(r"(?m)^([\w.-]+)(?:\[.*?\])?==([^ ;]+)", (ROOT / name).read_text()))


def direct() -> list[Requirement]:
    """What pyproject.toml asks for, for the runtime and the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [Requirement(line) for line in project["dependencies"] + extras["mauve"] + extras["test"]]


def test_schema_and_parameter_table_are_those_of_the_code():
    assert json.loads((ROOT / SCHEMA).read_text()) == schema(), "run: make docs"
    assert (ROOT / DOCUMENT).read_text() == document(), "run: make docs"


def test_every_parameter_is_described():
    assert " |  |\n" not in document()


@pytest.mark.parametrize("path", ["params.yaml", "tests/micro.yaml", *(f"presets/{path.name}" for path in ROOT.glob("presets/*.yaml"))])
def test_parameter_files_are_valid(path):
    jsonschema.validate(yaml.safe_load((ROOT / path).read_text()), schema())
    assert load_params(ROOT / path).models()


def test_the_schema_knows_the_keys():
    for tree in ({"noise_dims": 64}, {"sdtt": {"round": 3}}, {"noise_dim": "64"}, {"mask": "finit"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tree, schema())


def test_params_yaml_has_every_key_that_a_stage_reads():
    """DVC asks for them by name."""
    tree = yaml.safe_load(PARAMS.read_text())
    for key in {key for stage in READS.values() for key in keys(stage, "a variant")}:
        value = tree
        for part in key.split("."):
            assert part in value, f"params.yaml lacks {key}"
            value = value[part]


def test_params_yaml_leaves_no_key_to_its_default():
    tree = yaml.safe_load(PARAMS.read_text())
    for name, value in load_params(PARAMS).model_dump(exclude={"variants"}).items():
        assert name in tree
        if isinstance(value, dict):
            assert set(value) == set(tree[name]), name


@pytest.mark.parametrize("text", [PARAMS.read_text(), resolved_yaml(load_params(PARAMS))], ids=["params.yaml", "whole"])
def test_dvc_changes_one_line(text, tmp_path):
    """Parameter files have the style in which DVC writes, so that `dvc exp run -S` makes a readable diff."""
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with modify_yaml(str(file)) as tree:
        tree["noise_dim"] = 2048
    assert file.read_text() == text.replace("\nnoise_dim: 256\n", "\nnoise_dim: 2048\n", 1)
    assert load_params(file).noise_dim == 2048


def test_params_yaml_names_its_schema():
    assert PARAMS.read_text().splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA}"


def test_lock_pins_what_the_project_asks_for():
    pins = lock()
    for requirement in direct():
        version = pins.get(canonicalize_name(requirement.name))
        assert version and requirement.specifier.contains(version), requirement
    assert not [version for version in pins.values() if "+" in version or "/" in version or "@" in version]


def test_every_locked_file_has_its_hash():
    for name in ("requirements.lock", "requirements-cuda.lock"):
        packages = re.split(r"\n(?=\w)", (ROOT / name).read_text())
        assert len(packages) == len(lock(name)) and all("--hash=sha256:" in package for package in packages)


def test_the_locks_differ_in_torch_alone():
    cpu, cuda = lock("requirements.lock"), lock()
    assert cpu.items() < cuda.items()
    assert {name for name in cuda if name not in cpu if not name.startswith(("nvidia-", "cuda-"))} == {"torch", "triton"}


def test_conda_environment_is_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    pins = lock()
    assert pip == [f"{name}=={pins[name]}" for name in (canonicalize_name(requirement.name) for requirement in direct())]


def test_versions_are_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    asked = re.search(r'min_version\("([\d.]+)"\)', (ROOT / "Snakefile").read_text())[1]
    (snakemake,) = (requirement for requirement in direct() if requirement.name == "snakemake")
    assert f">={asked}" in str(snakemake.specifier)

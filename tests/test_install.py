"""The installed package, away from any checkout: its files, its command and its stages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of the project's wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def imdm(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, in a folder of its own."""
    code = "import sys; from imdm.cli import main; sys.exit(main())"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    return subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, env=environment, capture_output=True, text=True)


def test_show_reads_a_run(installed, tmp_path):
    done = imdm(installed, tmp_path, "show", str(ROOT / "results/reference/tiny"))
    assert done.returncode == 0 and "IMDM" in done.stdout, done.stderr


def test_params_start_from_the_installed_default(installed, tmp_path):
    (tmp_path / "mine.yaml").write_text("noise_dim: 64\n")
    done = imdm(installed, tmp_path, "params", "mine.yaml")
    assert done.returncode == 0 and "noise_dim: 64\n" in done.stdout, done.stderr


def test_stages_run_with_the_installed_library(installed, tmp_path):
    done = imdm(installed, tmp_path, "stage", "sample", "--model", "none.safetensors", "--out", "out", "--params", "none.yaml")
    assert done.returncode == 2 and "none.yaml" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("words", "answer"), [(("stage", "smaple"), "did you mean sample?"), (("shwo",), "choose from"), ((), "required")])
def test_a_wrong_name(installed, tmp_path, words, answer):
    done = imdm(installed, tmp_path, *words)
    assert done.returncode == 2 and answer in done.stderr


def test_the_containers_recipe_holds_all_that_the_installation_needs(tmp_path):
    """Its files are there, its shell parts are shell, and make would begin with them alone."""
    recipe = (ROOT / "container.def").read_text()
    sections = dict(re.findall(r"(?ms)^%(\w+)\n(.*?)(?=^%|\Z)", recipe))
    for line in sections["files"].splitlines():
        if line.strip():
            source, target = line.split()
            place = tmp_path / Path(target).relative_to("/opt/imdm")
            shutil.copytree(ROOT / source, place) if (ROOT / source).is_dir() else shutil.copy(ROOT / source, place)
    for name in ("post", "environment", "runscript", "test"):
        subprocess.run(["sh", "-n", "-c", sections[name]], check=True)
    subprocess.run(["make", "--dry-run", ".venv/.installed"], cwd=tmp_path, check=True, capture_output=True)
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path / "wheel"), str(tmp_path)]
    subprocess.run([sys.executable, "-m", *build], check=True, capture_output=True)

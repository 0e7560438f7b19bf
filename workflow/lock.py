"""Writes the two lock files and environment.yml from pyproject.toml: `make lock`. Wants uv and a package index.

requirements-cuda.lock is everything, with the CUDA build of torch. requirements.lock is the same without torch and CUDA's
packages: the index has no build of torch for a CPU alone, so its hash isn't known here. A version moves only where
pyproject.toml asks for another, or with --upgrade.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CUDA = re.compile(r"torch==|triton==|cuda-|nvidia-(?!ml-py)")
COMPILE = "uv pip compile pyproject.toml --extra mauve --extra test --universal --python-version 3.11 --generate-hashes"
ENVIRONMENT = """\
# The same environment for conda, and for `snakemake --sdm conda`: what the project imports, at the versions of requirements.lock.
# Then, as `make run` does: pip install --no-deps -e . (the command imdm, and the progress display of the default profile)
name: imdm
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def main() -> None:
    """Resolve, and write the three files."""
    lock = ROOT / "requirements-cuda.lock"
    options = ["--no-header", "--no-annotate", "--quiet", "--output-file", lock.name, *sys.argv[1:]]
    subprocess.run([*COMPILE.split(), *options], cwd=ROOT, check=True)
    packages = re.split(r"\n(?=\w)", lock.read_text())
    (ROOT / "requirements.lock").write_text("\n".join(package.rstrip() for package in packages if not CUDA.match(package)) + "\n")
    versions = dict(re.match(r"([\w.-]+)(?:\[.*?\])?==([^ ;]+)", package).groups() for package in packages)
    (ROOT / "environment.yml").write_text(ENVIRONMENT + "".join(f"      - {line}\n" for line in direct(versions)))


def direct(versions: dict[str, str]) -> list[str]:
    """NAME==VERSION of every package that pyproject.toml names, then those of MAUVE and of the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["mauve"], *extras["test"]]
    return [f"{name}=={versions[name]}" for name in (re.match(r"[\w-]+", line)[0] for line in wanted)]


if __name__ == "__main__":
    main()

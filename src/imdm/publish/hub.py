"""Finds a checkpoint's file: on the Hugging Face hub, or on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imdm.errors import UserError
from imdm.files import read_json, require_regular, said

_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".bin")
_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?(/(?P<file>.+))?")


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint, found.

    Attributes:
        where: what the user named.
        path: the file with the weights.
        settings: content of the config.json beside it; empty where there is none.
        revision: commit of the hub, None for a local file.
    """

    where: str
    path: Path
    settings: dict[str, Any]
    revision: str | None


def locate(where: str) -> CheckpointFile:
    """Find the weights that `where` names, downloading them once.

    Args:
        where: a file; a folder that holds model.safetensors, or a single .safetensors, .ckpt, .pt or .bin file;
            or ORG/NAME, ORG/NAME@REVISION, either with /FILE where a repository holds several, on the hub.

    Raises:
        UserError: there is no such thing, or a folder holds none or several such files.
    """
    path, revision = Path(where).expanduser(), None
    if not path.exists():
        path, revision = _download(where)
    file = _weights_of(path, where) if path.is_dir() else path
    beside = file.with_name("config.json")
    remedy = "download it again, or delete it"
    settings = read_json(beside, dict[str, Any], "a config.json", remedy) if beside.exists() else {}
    require_regular(file, "name the checkpoint's one file")
    return CheckpointFile(where, file, settings, revision)


def _weights_of(folder: Path, where: str) -> Path:
    if (folder / "model.safetensors").exists():
        return folder / "model.safetensors"
    files = sorted(path.name for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if len(files) != 1:
        kinds = ", ".join(_SUFFIXES)
        raise UserError(f"{where} holds {', '.join(files) or f'no {kinds} file'}; name the checkpoint's one file, as {where}/FILE.")
    return folder / files[0]


def _download(where: str) -> tuple[Path, str]:
    """The local copy of a repository, or of one of its files, and its commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    match = _HUB.fullmatch(where)
    if match is None:
        raise UserError(f"{where} does not exist, and is no ORG/NAME or ORG/NAME@REVISION of the hub; correct the path.")
    repo, revision, file = match["repo"], match["revision"], match["file"]
    # a repository may hold many checkpoints, so its other files are fetched only where model.safetensors isn't there
    wanted = (
        [[file, str(Path(file).with_name("config.json"))]] if file else [["config.json", "model.safetensors"], [f"*{s}" for s in _SUFFIXES]]
    )
    try:
        for patterns in wanted:
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
            if (folder / (file or "model.safetensors")).exists():
                break
    except (OSError, HFValidationError, OfflineModeIsEnabled) as error:
        raise UserError(
            f"{where} is no local file and can't be had from the hub ({said(error)}); correct the name, or give a local copy."
        ) from None
    if file and not (folder / file).exists():
        raise UserError(f"{repo} has no file {file} on the hub; correct {where}.")
    return folder / file if file else folder, folder.name

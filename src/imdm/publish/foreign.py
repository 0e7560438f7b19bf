"""Checkpoints of other projects as files: found on this machine or on the Hugging Face hub, and read without running anything in them.

Settings are a config.json, or the Hydra config that Lightning keeps. Lightning's checkpoints pickle more than tensors: the run's
settings (omegaconf), tokenizers, callbacks. torch's own restricted unpickler reads them, and every class or function that it does
not allow, whatever its name, is replaced by one inert class that keeps the state it is given. Nothing is imported or called.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from imdm.errors import UserError
from imdm.files import broken_zip, fault, read_json, require_regular, said
from imdm.network.config import NetworkConfig
from imdm.params import NonNegative, Positive
from imdm.params.base import Fraction, PositiveFloat

_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".bin")
_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?(/(?P<file>.+))?")
OURS = "imdm"  # key of a config.json under which `export` puts a whole NetworkConfig


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


class ForeignSettings(BaseModel):
    """What tensors don't tell, under the names of MDLM, SDTT, Duo and IMDM; None where it isn't stated.

    Sizes are not among them: the class behind MDLM's own config.json has a wrong cond_dim as its default.
    """

    n_heads: Positive | None = None
    length: Positive | None = Field(None, validation_alias=AliasChoices("model_length", "length"))
    mask_index: NonNegative | None = None
    dropout: Fraction = 0.1
    softcap: float = -1.0  # not above 0: none
    noise_type: str = "uniform"  # randn: Gaussian
    noise_scale: PositiveFloat = 1.0


def read_settings(settings: dict[str, Any], where: str) -> NetworkConfig | ForeignSettings:
    """The whole config that `export` wrote; of other folders what theirs says. Raises UserError: a value is wrong."""
    try:
        return NetworkConfig.model_validate(settings[OURS]) if OURS in settings else ForeignSettings.model_validate(_flatten(settings))
    except ValidationError as error:
        raise UserError(f"the config of {where} is wrong ({fault(error)}); correct its config.json.") from None


def _flatten(settings: dict[str, Any]) -> dict[str, Any]:
    """The scalars of a config.json, and of the sections of a Hydra config that describe the network."""
    flat = {key: value for key, value in settings.items() if isinstance(value, int | float | str) and "${" not in str(value)}
    for section in ("config", "model", "algo"):
        if isinstance(settings.get(section), dict):
            flat |= _flatten(settings[section])
    return flat


class Inert:
    """Stands for an object of any foreign class."""

    def __new__(cls, *_: Any) -> Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any):
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_torch_file(path: Path, origin: str) -> Any:
    """What torch.save wrote, tensors mapped from the file. Raises UserError: it is damaged, or holds what a checkpoint has no use for."""
    import torch  # here, since `locate` serves those who need none

    if broken := broken_zip(path):
        raise UserError(f"{origin} is truncated or damaged ({broken}); download it again.")
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(Inert, name) for name in foreign]):
            return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # a damaged or hostile pickle can make the unpickler raise anything
        raise UserError(f"{origin} can't be read safely ({said(error)}); download it again, or convert it to safetensors.") from None


def plain(value: Any) -> Any:
    """The dicts and scalars inside omegaconf's objects; anything else inert becomes None."""
    if isinstance(value, Inert):
        state = value.state if isinstance(value.state, dict) else {}
        return plain(state.get("_content", state.get("_val")))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value if isinstance(value, bool | int | float | str) else None

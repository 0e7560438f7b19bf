"""What files of other projects say, without running anything in them.

Settings are a config.json, or the Hydra config that Lightning keeps. Lightning's checkpoints pickle more than tensors: the run's
settings (omegaconf), tokenizers, callbacks. torch's own restricted unpickler reads them, and every class or function that it does
not allow, whatever its name, is replaced by one inert class that keeps the state it is given. Nothing is imported or called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import AliasChoices, BaseModel, Field, ValidationError

from imdm.errors import UserError
from imdm.files import broken_zip, fault, said
from imdm.network.config import NetworkConfig
from imdm.params import NonNegative, Positive
from imdm.params.base import Fraction, PositiveFloat

OURS = "imdm"  # key of a config.json under which `export` puts a whole NetworkConfig


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


def read_foreign(settings: dict[str, Any], where: str) -> ForeignSettings:
    """Raises UserError: a value is wrong."""
    try:
        return ForeignSettings.model_validate(_flatten(settings))
    except ValidationError as error:
        raise _wrong(error, where) from None


def read_ours(settings: dict[str, Any], where: str) -> NetworkConfig | None:
    """The config that `export` wrote; None in other folders. Raises UserError: it was edited."""
    try:
        return NetworkConfig.model_validate(settings[OURS]) if OURS in settings else None
    except ValidationError as error:
        raise _wrong(error, where) from None


def _wrong(error: ValidationError, where: str) -> UserError:
    return UserError(f"the config of {where} is wrong ({fault(error)}); correct its config.json.")


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

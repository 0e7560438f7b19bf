"""What a public checkpoint's settings say of its network: a config.json, or the Hydra config that Lightning keeps."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from imdm.errors import UserError
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
    first = error.errors()[0]
    return UserError(f"the config of {where} is wrong at {'.'.join(map(str, first['loc']))} ({first['msg']}); correct its config.json.")


def _flatten(settings: dict[str, Any]) -> dict[str, Any]:
    """The scalars of a config.json, and of the sections of a Hydra config that describe the network."""
    flat = {key: value for key, value in settings.items() if isinstance(value, int | float | str) and "${" not in str(value)}
    for section in ("config", "model", "algo"):
        if isinstance(settings.get(section), dict):
            flat |= _flatten(settings[section])
    return flat

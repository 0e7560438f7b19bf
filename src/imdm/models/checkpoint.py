"""Checkpoints: one safetensors file with online weights, their moving average and the network's config.

Tensors are named `online.NAME` and `ema.NAME`. A file without a moving average (an adopted or imported
network) holds one set of weights, which serves as both.
"""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from imdm.errors import UserError
from imdm.models.config import NetworkConfig
from imdm.models.dit import Network
from imdm.models.ema import Ema

_KEY = "imdm"


def save_network(path: str | Path, network: Network, ema: Ema | None = None) -> None:
    """Write a checkpoint; equal weights give equal bytes."""
    tensors = {f"online.{name}": tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if ema is not None:
        tensors |= {f"ema.{name}": tensor.detach().cpu().contiguous() for name, tensor in zip(ema.names, ema.shadow)}
    save_file(tensors, path, metadata={_KEY: network.config.model_dump_json()})


def read_config(path: str | Path) -> NetworkConfig:
    """The config of a checkpoint.

    Raises:
        UserError: the file is truncated or isn't one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return NetworkConfig.model_validate_json(metadata[_KEY])
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or no safetensors file ({error}); run the stage that makes it again.") from None
    except (KeyError, ValidationError):
        raise UserError(f"{path} is not a checkpoint of this project; give one that pretrain, adopt, sdtt or redi wrote.") from None


def load_network(path: str | Path, weights: str = "ema", body_dtype: torch.dtype | None = None) -> Network:
    """Build the network of a checkpoint.

    Args:
        weights: "ema" or "online".

    Raises:
        UserError: as `read_config`, or a tensor is missing or has another shape.
    """
    network = Network(read_config(path), body_dtype)
    network.load_state_dict(_weights(path, weights))
    return network


def adopt_weights(network: Network, path: str | Path, weights: str = "ema") -> None:
    """Load a checkpoint into a network of another mask kind; what the checkpoint lacks keeps its initial value.

    Raises:
        UserError: a size differs, or the checkpoint holds weights that the network has no place for.
    """
    _fill(network, _weights(path, weights), str(path))


def share_weights(network: Network, source: Network) -> None:
    """As `adopt_weights`, from a network in memory."""
    _fill(network, source.state_dict(), "the source network")


def _fill(network: Network, found: dict[str, Tensor], origin: str) -> None:
    own = network.state_dict()
    missing = [name for name in own if name not in found and not name.startswith(("vocab_embed.imdm_mlp.", "vocab_embed.mask_table"))]
    wrong = [name for name in found if name not in own or own[name].shape != found[name].shape]
    if missing or wrong:
        raise UserError(
            f"{origin} does not fit the network (first difference: {(missing + wrong)[0]}); adopt a checkpoint of the same sizes."
        )
    network.load_state_dict(found, strict=False)


def _weights(path: str | Path, weights: str) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or no safetensors file ({error}); run the stage that makes it again.") from None
    sets: dict[str, dict[str, Tensor]] = {"online": {}, "ema": {}}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        sets.setdefault(kind, {})[rest] = tensor
    return sets["online"] | (sets["ema"] if weights == "ema" else {})

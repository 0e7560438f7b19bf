"""Checkpoints: one safetensors file with online weights, their moving average and the network's config.

Tensors are named `online.NAME` and `ema.NAME`. A file without a moving average (one that was not trained
here) holds one set of weights, which serves as both. A round that another one continues has its optimizer's state too,
`optimizer.KEY.NAME`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from imdm.errors import UserError
from imdm.network.config import NetworkConfig
from imdm.network.ema import Ema
from imdm.network.network import Network
from imdm.network.oracle import Oracle
from imdm.writing import whole

_KEY = "imdm"
_ADDED = ("vocab_embed.imdm_mlp.", "vocab_embed.mask_table", "latent_projection.")  # what a variant or Di4C adds to an MDLM


def model_name(path: str | Path) -> str:
    """NAME of models/NAME/model.safetensors: `teacher`, `VARIANT/RECIPE` or `public/NAME`; of any other file, its folder's name."""
    parts = Path(path).parent.parts
    return "/".join(parts[-2:]) if parts[-3:-2] == ("models",) and parts[-2] != "models" else parts[-1]


def save_network(path: str | Path, network: Network, ema: Ema | None = None, optimizer: dict[str, Tensor] | None = None) -> None:
    """Write a checkpoint; equal weights give equal bytes. `optimizer` is for a round that goes on from this one."""
    write_checkpoint(path, network.config, network.state_dict(), dict(zip(ema.names, ema.shadow)) if ema else {}, optimizer)


def write_checkpoint(
    path: str | Path, config: NetworkConfig, online: dict[str, Tensor], ema: dict[str, Tensor], optimizer: dict[str, Tensor] | None = None
) -> None:
    """As `save_network`, from tensors by name; `ema` is empty where there is one set of weights."""
    sets = {"online": online, "ema": ema, "optimizer": optimizer or {}}
    tensors = {f"{kind}.{name}": tensor.detach().cpu().contiguous() for kind, weights in sets.items() for name, tensor in weights.items()}
    with whole(path) as beside:
        save_file(tensors, beside, metadata={_KEY: config.model_dump_json()})


def is_checkpoint(path: str | Path) -> bool:
    """Whether a safetensors file is one of ours. Raises UserError: it is truncated or no safetensors file."""
    with _opened(path) as file:
        return _KEY in (file.metadata() or {})


def read_tensors(path: str | Path, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a safetensors file whose name has a prefix, by the rest of it and in the file's order; raises as `is_checkpoint`."""
    with _opened(path) as file:
        return {name.removeprefix(prefix): file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118


def read_checkpoint(path: str | Path) -> tuple[NetworkConfig, dict[str, Tensor], dict[str, Tensor]]:
    """Config, online weights and moving average of a checkpoint, by the network's names; the last may be empty.

    Raises:
        UserError: the file is truncated or isn't one of ours.
    """
    with _opened(path) as file:
        metadata = file.metadata() or {}
    try:
        config = NetworkConfig.model_validate_json(metadata[_KEY])
    except (KeyError, ValidationError):
        raise UserError(f"{path} is not a checkpoint of this project; load a public one with load_mdlm.") from None
    return config, read_tensors(path, "online."), read_tensors(path, "ema.")


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or no safetensors file ({error}); make or download it again.") from None


def load_network(path: str | Path, weights: str = "ema", body_dtype: torch.dtype | None = None) -> Network:
    """Build the network of a checkpoint, or the oracle.

    Args:
        weights: "ema" or "online".

    Raises:
        UserError: as `read_checkpoint`.
    """
    config, online, ema = read_checkpoint(path)
    network = (Oracle if config.language else Network)(config, body_dtype)
    network.load_state_dict(online | (ema if weights == "ema" else {}))
    return network


def share_weights(network: Network, other: Network) -> None:
    """Copy the weights of a network that may be of another mask kind; what the other lacks keeps its initial value.

    Raises:
        UserError: a size differs, or the other has weights that the network has no place for.
    """
    own, tensors = network.state_dict(), other.state_dict()
    missing = [name for name in own if name not in tensors and not name.startswith(_ADDED)]
    wrong = [name for name in tensors if name not in own or own[name].shape != tensors[name].shape]
    if missing or wrong:
        raise UserError(f"the two networks differ in {(missing + wrong)[0]}; give a checkpoint of the same sizes.")
    network.load_state_dict(tensors, strict=False)

"""Checkpoints: one safetensors file with online weights, their moving average and the network's config.

Tensors are named `online.NAME` and `ema.NAME`. A file without a moving average (one that was not trained
here) holds one set of weights, which serves as both. A round that another one continues has its optimizer's state too,
`optimizer.KEY.NAME`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from imdm.errors import UserError
from imdm.files import fitting, open_tensors, said
from imdm.network.config import NetworkConfig
from imdm.network.ema import Ema
from imdm.network.network import Network
from imdm.network.oracle import Oracle
from imdm.writing import whole

_FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_KEY, _AGAIN = "imdm", "make or download it again"
_ADDED = ("vocab_embed.imdm_mlp.", "vocab_embed.mask_table", "candidates.", "latent_projection.")  # what a variant or Di4C adds to an MDLM


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
    with open_tensors(path, _AGAIN, "pt") as file:
        return _KEY in (file.metadata() or {})


def read_tensors(path: str | Path, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a safetensors file whose name has a prefix, by the rest of it and in the file's order; raises as `is_checkpoint`."""
    with open_tensors(path, _AGAIN, "pt") as file:
        return {name.removeprefix(prefix): file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118


def read_checkpoint(path: str | Path) -> tuple[NetworkConfig, dict[str, Tensor], dict[str, Tensor]]:
    """Config, online weights and moving average of a checkpoint, by the network's names; the last may be empty.

    Raises:
        UserError: the file is truncated, isn't one of ours, or its weights are not those of one network, as `check_weights` has it.
    """
    with open_tensors(path, _AGAIN, "pt") as file:
        metadata, names = file.metadata() or {}, list(file.keys())
    if _KEY not in metadata:
        raise UserError(f"{path} is not a checkpoint of this project; load a public one with load_mdlm.")
    config = fitting(path, metadata[_KEY], NetworkConfig, "a checkpoint of this project", _AGAIN)
    foreign = [name for name in names if not name.startswith(("online.", "ema.", "optimizer."))]
    if foreign:
        raise UserError(f"{path} holds {said(foreign[0], 60)}, which is none of a checkpoint's tensors; {_AGAIN}.")
    online, ema = read_tensors(path, "online."), read_tensors(path, "ema.")
    for weights in (online, online | ema) if ema else (online,):
        check_weights(config, weights, str(path))
    return config, online, ema


def check_weights(config: NetworkConfig, weights: dict[str, Tensor], origin: str) -> None:
    """Refuse weights that are not those of a network of this config: names, shapes, floating point, finite, and all in memory.

    The number of blocks and the embedding's size come first, so that nothing is built that the file does not hold.

    Raises:
        UserError: the first difference.
    """
    if config.blocks > max(1, len(weights)):
        raise UserError(f"{origin} lacks blocks.{len(weights)} and others of the {config.blocks} of its config; {_AGAIN}.")
    first = weights.get("vocab_embed.embedding")
    if first is not None and tuple(first.shape) != (config.vocab_size, config.hidden_size):
        expected = {"vocab_embed.embedding": (config.vocab_size, config.hidden_size)}
    else:
        with torch.device("meta"):
            expected = {name: tuple(tensor.shape) for name, tensor in Network(config).state_dict().items()}
    for name, shape in expected.items():
        tensor = weights.get(name)
        if tensor is None:
            raise UserError(f"{origin} lacks {name}; it is incomplete, or not a network of MDLM, SDTT, Di4C or IMDM.")
        if tuple(tensor.shape) != shape:
            raise UserError(f"{origin} has {name} of shape {tuple(tensor.shape)}, not {shape}; it is no checkpoint of one network.")
        require_floats(tensor, name, origin)
        if not all(end.isfinite() for end in torch.aminmax(tensor.detach())):
            raise UserError(f"{origin} has NaN or infinite weights in {name}; a training that ends so needs a lower lr.")
    for name in weights.keys() - expected.keys():
        raise UserError(f"{origin} holds {name}, for which MDLM, SDTT, Di4C and IMDM have no place; give a checkpoint of one of these.")


def require_floats(tensor: Tensor, name: str, origin: str) -> None:
    """Raises UserError: a tensor holds no floating-point numbers, or fewer than its shape says (as an expanded one of torch.save)."""
    plain = tensor.dtype in _FLOATS and tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.untyped_storage().nbytes() < tensor.nbytes:
        raise UserError(f"{origin} has {name} as {tensor.dtype}, not as a whole array of floating-point weights; {_AGAIN}.")


def network_of(config: NetworkConfig, body_dtype: torch.dtype | None = None) -> Network:
    """The network of a config, or the oracle of its language, before its weights are loaded."""
    return (Oracle if config.language else Network)(config, body_dtype)


def load_network(path: str | Path, weights: str = "ema", body_dtype: torch.dtype | None = None) -> Network:
    """The network of a checkpoint, or the oracle, with its "ema" or its "online" weights; raises as `read_checkpoint`."""
    config, online, ema = read_checkpoint(path)
    network = network_of(config, body_dtype)
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

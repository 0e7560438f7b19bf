"""Public checkpoints of MDLM, SDTT, Di4C and IMDM, recognised by what they hold and not by their names.

The networks share their parameter names; the files differ in prefixes (`backbone.`, `_orig_mod.`), in the
container (safetensors, or Lightning's checkpoint with the moving average as a list in parameter order), and in
what is added to MDLM: `latent_projection` (Di4C), `vocab_embed.imdm_mlp` (IMDM: two linear layers, or a table of
finite masks). Sizes are read from the tensors, since configs of public files are known to be wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.files import is_zip
from imdm.network.block import Rotary
from imdm.network.checkpoint import check_weights, is_checkpoint, network_of, read_checkpoint, read_tensors, require_floats
from imdm.network.config import NetworkConfig
from imdm.network.network import Network
from imdm.publish.foreign import CheckpointFile, ForeignSettings, locate, plain, read_settings, read_torch_file

TABLE, FINITE = "vocab_embed.mask_table", "vocab_embed.imdm_mlp.weight"  # of finite masks: our name, and the IMDM authors'
_BUFFER = "rotary_emb.inv_freq"  # in a state dict, but no parameter
_BIAS = "vocab_embed.imdm_mlp.2.bias"
_MASK_IDS = {30_522: 103, 50_258: 50_257}  # BERT's [MASK]; the row that MDLM adds to GPT-2's vocabulary
_KINDS = {"single": "MDLM", "infinite": "IMDM", "finite": "finite masks", "gumbel": "Gumbel masks"}


@dataclass(frozen=True)
class PublicModel:
    """A loaded checkpoint, in float32.

    Attributes:
        config: of the network.
        online: weights by name; the only ones where `ema` is empty.
        ema: the parameters' moving average; empty where the file has none, or online weights were wanted.
        used: which weights `network` has: "ema", "online", or "the only ones" of a file with one set.
        layout: how the file was laid out, in words.
        file: where it came from.
    """

    config: NetworkConfig
    online: dict[str, Tensor]
    ema: dict[str, Tensor]
    used: str
    layout: str
    file: CheckpointFile

    @property
    def kind(self) -> str:
        return "Di4C" if self.config.latent_hidden else _KINDS[self.config.mask]

    def network(self, body_dtype: torch.dtype | None = None) -> Network:
        """The network in eval mode."""
        network = network_of(self.config, body_dtype)
        network.load_state_dict(self.online | self.ema)
        return network.eval()


def load_public(where: str, weights: str = "ema", data: Dataset | None = None) -> PublicModel:
    """Load a public checkpoint, one of ours, or what `export` wrote.

    Args:
        where: as in `locate`.
        weights: "ema" or "online", of a file that holds both.
        data: the corpus that it is to be used with, which says what the file leaves out (the mask's id, the length,
            the vocabulary's digest) and must agree with what it states.

    Raises:
        UserError: the file is missing, damaged, foreign or of another corpus, or lacks a tensor or a size.
    """
    file = locate(where)
    if not is_zip(file.path) and is_checkpoint(file.path):
        config, online, ema = read_checkpoint(file.path)
        used = weights if ema else "the only ones"
        public = PublicModel(config, online, ema if used == "ema" else {}, used, "checkpoint of this project", file)
    else:
        public = _foreign(file, weights, data)
        for tensors in (public.online, public.online | public.ema):
            check_weights(public.config, tensors, where)
    if data is not None:
        data.check_vocabulary(public.config, where)
        if public.config.mask_id != data.mask_id:
            differ = f"{where} has mask id {public.config.mask_id}, but {data.path} has {data.mask_id}"
            raise UserError(f"{differ}; use the corpus that it was trained on.")
    return public


def _foreign(file: CheckpointFile, weights: str, data: Dataset | None) -> PublicModel:
    """A file that another project, or `export`, wrote."""
    tensors, shadow, settings, container = _contents(file)
    online, prefix = _strip(tensors)
    if "vocab_embed.embedding" not in online:
        first = next(iter(tensors), "none")
        raise UserError(f"{file.where} holds no network of MDLM's kind (its first tensor: {first}); give one of MDLM, SDTT, Di4C or IMDM.")
    used = weights if shadow else "the only ones"
    ema = _by_order(shadow, online, file.where) if used == "ema" else {}
    online, ema = (_adapt(tensors, file.where) for tensors in (online, ema))
    found = read_settings(settings, file.where)
    config = found if isinstance(found, NetworkConfig) else _config(online, found, file.where, data)
    online.setdefault(_BUFFER, Rotary(config.hidden_size // config.heads).inv_freq)
    layout = f"{container}, {f'prefix {prefix}' if prefix else 'no prefix'}"
    return PublicModel(config, online, ema, used, layout, file)


def _contents(file: CheckpointFile) -> tuple[dict[str, Tensor], list[Tensor], dict[str, Any], str]:
    """Tensors of the state dict, moving average as a list, settings, and what kind of file it is."""
    if not is_zip(file.path):
        return read_tensors(file.path), [], file.settings, "safetensors"
    tree = read_torch_file(file.path, file.where)
    tree = tree if isinstance(tree, dict) else {}
    settings, average, container = file.settings, None, "PyTorch state dict"
    if isinstance(tree.get("state_dict"), dict):
        settings = (plain(tree.get("hyper_parameters")) or {}) | settings
        average, tree, container = tree.get("ema"), tree["state_dict"], "Lightning checkpoint"
    shadow = average.get("shadow_params", []) if isinstance(average, dict) else []
    tensors = {str(name): tensor for name, tensor in tree.items() if isinstance(tensor, Tensor)}
    return tensors, [tensor for tensor in shadow if isinstance(tensor, Tensor)], settings, container


def _strip(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Tensors under the network's own names, in the file's order, and the prefix that they had.

    Where there is a `backbone`, what lies outside it belongs to other parts of the training, such as a teacher.
    """
    names = {name.replace("_orig_mod.", ""): tensor for name, tensor in tensors.items()}
    inside = {name: tensor for name, tensor in names.items() if name.startswith("backbone.")} or names
    own = {re.sub(r"^(backbone\.)+", "", name): tensor for name, tensor in inside.items()}
    return own, next(iter(inside), "").removesuffix(next(iter(own), ""))


def _by_order(shadow: list[Tensor], online: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Names for a moving average that is a bare list: the state dict's, which keep the order of registration."""
    names = [name for name in online if name != _BUFFER]
    if [tensor.shape for tensor in shadow] != [online[name].shape for name in names]:
        raise UserError(
            f"{where} has a moving average of {len(shadow)} tensors that do not match its {len(names)} parameters; set weights to online."
        )
    return dict(zip(names, shadow))


def _adapt(tensors: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Float32 and this project's names."""
    for name, tensor in tensors.items():
        require_floats(tensor, name, where)
    tensors = {name: tensor.detach().float() for name, tensor in tensors.items()}
    if _BIAS in tensors and tensors.pop(_BIAS).any():
        raise UserError(
            f"{where} has a bias in the last layer of its mask MLP ({_BIAS}), which IMDM lacks; add it to the mask token's embedding."
        )
    if FINITE in tensors:
        tensors[TABLE] = tensors.pop(FINITE)
    return tensors


def _config(tensors: dict[str, Tensor], settings: ForeignSettings, where: str, data: Dataset | None) -> NetworkConfig:
    """Sizes from the tensors; from the file's settings, or else the corpus, what tensors don't tell."""

    def size(name: str, dim: int) -> int:
        if name not in tensors or tensors[name].dim() <= dim:
            raise UserError(f"{where} lacks {name}, or it has too few dimensions; download it again.")
        return tensors[name].shape[dim]

    def known(key: str, of_file: int | None, of_data: int | None) -> int:
        value = of_data if of_file is None else of_file
        if value is None:
            raise UserError(f"{where} does not state its {key}; load it together with the dataset that it was trained on.")
        return value

    vocab_size, width = size("vocab_embed.embedding", 0), size("vocab_embed.embedding", 1)
    mask: dict[str, Any] = {"mask": "single"}
    if "vocab_embed.imdm_mlp.0.weight" in tensors:
        mask = {"mask": "infinite", "noise_dim": size("vocab_embed.imdm_mlp.0.weight", 1), "noise_scale": settings.noise_scale}
        mask["noise_dist"] = "gaussian" if settings.noise_type == "randn" else "uniform"
    elif TABLE in tensors:
        mask = {"mask": "finite", "finite_masks": size(TABLE, 0)}
    mask_id = _MASK_IDS.get(vocab_size) if settings.mask_index is None else settings.mask_index
    return NetworkConfig(
        hidden_size=width,
        blocks=len({match[1] for name in tensors if (match := re.match(r"blocks\.([0-9]+)\.", name))}) or 1,
        heads=_heads(width, tensors.get(_BUFFER), settings.n_heads, where),
        cond_dim=size("sigma_map.mlp.2.weight", 0),
        dropout=settings.dropout,
        softcap=settings.softcap if settings.softcap > 0 else None,
        latent_hidden=size("latent_projection.0.weight", 0) if "latent_projection.0.weight" in tensors else None,
        vocab_size=vocab_size,
        mask_id=known("mask id (mask_index of a config.json)", mask_id, data.mask_id if data else None),
        seq_len=known("length (model_length of a config.json)", settings.length, data.seq_len if data else None),
        tokenizer_sha256=data.tokenizer_sha256 if data else "",
        **mask,
    )


def _heads(width: int, inv_freq: Tensor | None, heads: int | None, where: str) -> int:
    """From the rotary embedding, half a head long, else the file's settings, else heads of 64 as in the public networks."""
    head = 2 * len(inv_freq) if inv_freq is not None else width // heads if heads else 64
    if not head or width % head or heads not in (None, width // head):
        raise UserError(f"{where}: n_heads {heads} does not fit width {width} and heads of {head}; correct n_heads in its config.json.")
    return width // head

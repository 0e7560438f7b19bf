"""Pretraining: the NELBO of Eq. 14, after an optional warm start on next-token prediction."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imdm.data.blocks import batch_indices
from imdm.diffusion.counter import root_seed
from imdm.diffusion.nelbo import forward_process, weighted_nll
from imdm.models.dit import Network
from imdm.params import Optimizer, Pretrain
from imdm.training.loop import Training


class BlockTraining(Training):
    """A training on packed blocks uint16 [n, L]."""

    def __init__(self, network: nn.Module, settings: Optimizer, seed: int, blocks: np.ndarray):
        super().__init__(network, settings, seed)
        self.blocks = blocks

    def rows(self, step: int) -> tuple[Tensor, int]:
        """This device's clean blocks of a step, int64 [b, L], and the first one's index in the global batch."""
        first, count = self.part()
        index = batch_indices(len(self.blocks), step, self.settings.batch_size, self.seed)[first : first + count]
        return torch.from_numpy(self.blocks[index].astype(np.int64)).to(self.device), first


class Pretraining(BlockTraining):
    """Trains a network from scratch, or goes on with one."""

    def __init__(self, network: Network, settings: Pretrain, seed: int, blocks: np.ndarray):
        super().__init__(network, settings, seed, blocks)
        self.warm_start, self.draws = settings.warm_start, root_seed(seed, "pretrain")

    def loss(self, step: int) -> Tensor:
        x, first = self.rows(step)
        if step < self.warm_start:
            return self.next_token_loss(x)
        batch = forward_process(x, self.draws, step, first, self.settings.batch_size, self.network.config.vocab_size)
        return weighted_nll(self.network(batch.z, batch.masked), batch)

    def next_token_loss(self, x: Tensor) -> Tensor:
        """Cross-entropy of the next token under causal attention, nats a token.

        A tiny MDLM stays at the unigram level for many steps; a network that has learnt to predict the next
        token leaves it at once.
        """
        hidden = self.network.hidden(x, causal=True)[:, :-1]
        return F.cross_entropy(self.network.logits(hidden.flatten(0, 1)), x[:, 1:].flatten())


@torch.inference_mode()
def validation_nelbo(network: Network, blocks: np.ndarray, batches: int, batch_size: int, seed: int) -> Tensor:
    """NELBO of held-out blocks, nats a token, one value a batch.

    Args:
        blocks: uint16 [n, L]; reused with fresh masks where `batches * batch_size` exceeds n.

    Returns:
        float64 [batches], each over times stratified within the batch.
    """
    device = network.vocab_embed.embedding.device
    draws, values = root_seed(seed, "validation"), []
    for step in range(batches):
        index = batch_indices(len(blocks), step, batch_size, seed)
        x = torch.from_numpy(blocks[index].astype(np.int64)).to(device)
        batch = forward_process(x, draws, step, 0, batch_size, network.config.vocab_size)
        values.append(weighted_nll(network(batch.z, batch.masked), batch).double())
    return torch.stack(values)

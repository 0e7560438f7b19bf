"""Pretraining: the NELBO of Eq. 14, after an optional warm start on next-token prediction."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from imdm.data.blocks import Dataset, batch_indices, unigram_perplexity
from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.diffusion.nelbo import Noised, forward_process
from imdm.network.head_loss import cross_entropy, head_loss, nelbo
from imdm.network.network import Network
from imdm.params import Finetune, Optimizer, Pretrain
from imdm.stage.device import send
from imdm.training.muon import MuonAdamW
from imdm.training.training import N, Training


class BlockTraining(Training[N]):
    """A training on packed blocks uint16 [n, L]."""

    def __init__(self, network: N, settings: Optimizer, seed: int, blocks: np.ndarray):
        super().__init__(network, settings, seed)
        self.blocks = blocks

    def rows(self, step: int) -> tuple[Tensor, int]:
        """This device's clean blocks of a step, int64 [b, L] on the CPU, and the first one's index in the global batch."""
        first, count = self.part
        index = batch_indices(len(self.blocks), step, self.settings.batch_size, self.seed)[first : first + count]
        return torch.from_numpy(self.blocks[index].astype(np.int64)), first


class NoisedTraining(BlockTraining[Network]):
    """A training on blocks after a forward process; `draws` names the training, whose draws no other has."""

    counted = False  # the forward process masks a number of tokens, and not each by itself

    def __init__(self, network: Network, settings: Optimizer, draws: str, seed: int, blocks: np.ndarray):
        super().__init__(network, settings, seed, blocks)
        self.draws = root_seed(seed, draws)

    def noised(self, x: Tensor, step: int, first: int) -> Noised:
        """Rows first .. of a step's global batch, clean tokens int64 [b, L], noised; what is masked does not depend on the tokens."""
        return forward_process(x, self.draws, step, first, self.settings.batch_size, self.network.config.vocab_size, self.counted)

    def batch(self, step: int) -> Noised:
        """This device's part of a step, on the CPU: from elsewhere the number of masked positions would have to come back."""
        x, first = self.rows(step)
        return self.noised(x, step, first)


class Pretraining(NoisedTraining):
    """Trains a network from scratch, or goes on with one (Tab. 13)."""

    settings: Pretrain | Finetune

    def __init__(self, network: Network, settings: Pretrain | Finetune, seed: int, blocks: np.ndarray):
        self.name = "pretrain" if isinstance(settings, Pretrain) else "finetune"
        super().__init__(network, settings, self.name, seed, blocks)
        self.counted = isinstance(settings, Pretrain) and settings.masks == "counted"

    def make_optimizer(self) -> torch.optim.AdamW:
        if isinstance(self.settings, Finetune) or self.settings.optimizer == "adamw":
            return super().make_optimizer()
        self.optimizer = MuonAdamW(self.network, self.settings.lr, self.settings.weight_decay)
        return self.optimizer

    def loss(self, step: int) -> Tensor:
        if step < self.settings.next_token_steps:
            return self.next_token_loss(send(self.rows(step)[0], self.device))
        return nelbo(self.network, self.batch(step).map(partial(send, device=self.device)))

    def next_token_loss(self, x: Tensor) -> Tensor:
        """Cross-entropy of the next token under causal attention, nats a token.

        A tiny MDLM stays at the unigram level for many steps; a network that has learnt to predict the next
        token leaves it at once.
        """
        hidden = self.network.hidden(x, causal=True, masked=x.new_empty(0))[:, :-1]
        targets = x[:, 1:].flatten()
        weights = torch.full_like(targets, 1 / len(targets), dtype=torch.float64)
        return head_loss(self.network, hidden.flatten(0, 1), cross_entropy(self.network, targets, weights))


@torch.inference_mode()
def validate(network: Network, data: Dataset, settings: Pretrain, seed: int) -> dict[str, float]:
    """What validation.json holds: exp of the validation NELBO with its 95% interval, the unigram's perplexity, parameters.

    A batch's times are stratified; blocks come again, with fresh masks, where there are too few. Of a mixture (Di4C) it is the bound
    with one latent a sequence.

    Args:
        network: on its device, in eval mode.
        settings: number and size of the batches.
    """
    blocks, size, device = data.split("valid"), settings.eval_batch_size, network.vocab_embed.embedding.device
    draws, values = root_seed(seed, "validation"), []
    for step in range(settings.eval_batches):
        x = torch.from_numpy(blocks[batch_indices(len(blocks), step, size, seed)].astype(np.int64)).to(device)
        batch = forward_process(x, draws, step, 0, size, network.config.vocab_size, settings.masks == "counted")
        seeds = row_seeds(draws, step * size, size, device)
        latent = uniform(bits(seeds, Stream.LATENT)) if network.config.latent_hidden else None
        values.append(nelbo(network, batch, latent).double())
    nats = torch.stack(values)
    half = 1.96 * nats.std() / len(nats) ** 0.5
    return {
        "valid_perplexity": nats.mean().exp().item(),
        "low": (nats.mean() - half).exp().item(),
        "high": (nats.mean() + half).exp().item(),
        "unigram_perplexity": unigram_perplexity(data.split("train"), blocks, data.vocab_size),
        "parameters": sum(p.numel() for p in network.parameters()),
    }

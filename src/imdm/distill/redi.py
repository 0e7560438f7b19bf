"""ReDi: training on rectified couplings with the loss form of Eq. 14."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from imdm.data.blocks import batch_indices
from imdm.diffusion.counter import root_seed, row_seeds
from imdm.diffusion.nelbo import Noised
from imdm.diffusion.states import mask_where
from imdm.distill.couplings import CouplingSet
from imdm.network.head_loss import nelbo
from imdm.network.network import Network
from imdm.params import Redi
from imdm.stage.device import send
from imdm.training.training import Training


class RediTraining(Training[Network]):
    """A student of couplings, each seen at its stored time and, by default, with its stored noise."""

    name = "redi"
    settings: Redi

    def __init__(self, student: Network, settings: Redi, seed: int, couplings: CouplingSet):
        super().__init__(student, settings, seed)
        self.ema.warmup = not settings.carry
        self.couplings = couplings
        self.draws = root_seed(seed, "redi")

    def batch(self, step: int) -> Noised:
        """This device's part of a step's couplings."""
        first, count = self.part
        index = batch_indices(len(self.couplings), step, self.settings.batch_size, self.seed)[first : first + count]
        vocab = self.network.config.vocab_size
        x, masked, t = self.couplings.x[index].long(), self.couplings.masked[index], self.couplings.t[index]
        stored = self.settings.keys == "stored"
        keys = self.couplings.seed[index] if stored else row_seeds(self.draws, step * self.settings.batch_size + first, count)
        z = mask_where(x, masked, keys, vocab)
        return Noised(z, x, masked.flatten().nonzero().squeeze(1), t).map(partial(send, device=self.device))

    def loss(self, step: int) -> Tensor:
        return nelbo(self.network, self.batch(step))

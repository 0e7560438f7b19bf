"""The keyed student of a synthetic task: `training/keyed.py` on its sequences, with fresh noise in every step and no couplings."""

from __future__ import annotations

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.diffusion.nelbo import Noised
from imdm.diffusion.schedule import stratified_times
from imdm.diffusion.states import keyed_masks, mask_where
from imdm.distill.keyed import keyed_loss, keyed_student
from imdm.languages.language import Language
from imdm.languages.task import build, train
from imdm.network.checkpoint import share_weights
from imdm.network.network import Network
from imdm.params import KeyedWords, SmallNetwork
from imdm.params.base import CARRIED_BITS

# Without them a reverse KL from targets that know what to write can throw the student into a corner that it does not leave.
_WARMUP, _CLIP = 50, 1.0


def keyed(sizes: SmallNetwork, language: Language, how: KeyedWords, source: Network, seed: int) -> Network:
    """Train a student of the teacher `source`; half of each batch is all masked."""
    teacher = build(sizes, language, seed, mask="infinite", noise_dist="rademacher", noise_dim=CARRIED_BITS).eval()
    share_weights(teacher, source)
    student, root = keyed_student(teacher), root_seed(seed, "keyed")
    whole = how.batch_size // 2

    def loss(step: int) -> Tensor:
        offset = uniform(bits(torch.tensor(root), Stream.LEVEL, step))
        t = torch.cat([torch.ones(whole, dtype=torch.float64), stratified_times(offset, how.batch_size - whole)])
        x = language.batch(root, step, how.batch_size)
        seeds = row_seeds(root, step * how.batch_size, how.batch_size)
        masked = keyed_masks(seeds, t, language.length)
        z = mask_where(x, masked, seeds, language.vocab_size)
        batch = Noised(z, x, masked.flatten().nonzero().squeeze(1), t)
        return keyed_loss(student, teacher, batch, how.teacher_steps, "reverse_kl")

    return train(student, how.lr, how.steps, loss, min(_WARMUP, how.steps // 2), _CLIP)

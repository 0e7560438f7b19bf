"""The {00, 11} task: the numbers of Tables 1 and 2."""

from __future__ import annotations

import torch
from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.languages import measure
from imdm.languages.students import train_student, train_teacher
from imdm.languages.words import BINARY
from imdm.network.network import Network
from imdm.params import Synthetic
from imdm.sampling.sampler import sample


def seed_records(task: Synthetic, seed: int) -> list[dict]:
    """All records of one seed: four students of one teacher, and independent tokens for reference."""
    torch.set_num_threads(1)  # seeds run side by side
    teacher, made = train_teacher(task, BINARY, seed), []
    for name in ("mdm", "imdm", "imdm-plain", "imdm-driven"):
        network = train_student(task, BINARY, name, teacher, seed)
        x = sample(network, row_seeds(root_seed(seed, "samples"), 0, task.samples), steps=1).tokens
        p = measure.output_probabilities(network, BINARY, task.noise_draws, seed)
        errors = measure.factorization_errors(measure.word_probabilities(p, BINARY))
        about = {"model": name, "seed": seed}
        made += measure.records(sample_figures(x) | errors, table=1, setting="1 step, fresh noise", **about)
        for setting, figures in output_figures(network, seed).items():
            made += measure.records(figures, table=2, setting=setting, **about)
    x = torch.randint(2, (task.samples, 2), generator=torch.Generator().manual_seed(seed))
    return made + measure.records(sample_figures(x), table=1, setting="independent tokens", model="random", seed=seed)


def sample_figures(x: Tensor) -> measure.Figures:
    """Validity, and entropy of the token marginal, of samples [n, 2]."""
    return {"validity_pct": measure.validity(x, BINARY), "token_entropy_nats": measure.exactly(measure.token_entropy(x))}


def output_figures(network: Network, seed: int) -> dict[str, measure.Figures]:
    """P(token = 0) under the first noise that leads to 0 and the first that leads to 1; without noise twice the same."""
    p = measure.output_probabilities(network, BINARY, 1000, seed)[:, :, 0]
    first = {"noise A": (p[:, 0] > 0.5).int().argmax(), "noise B": (p[:, 0] <= 0.5).int().argmax()}
    return {
        setting: {f"P(token{i + 1}=0)_pct": measure.exactly(100 * p[index, i].item()) for i in range(BINARY.length)}
        for setting, index in first.items()
    }

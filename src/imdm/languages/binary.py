"""The {00, 11} task: the rows of Tables 1 and 2."""

from __future__ import annotations

import torch
from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.languages.balance import balanced
from imdm.languages.measure import Triple, factorization_errors, output_probabilities, token_entropy, validity, word_probabilities
from imdm.languages.task import rectification, train_student, train_teacher
from imdm.languages.words import BINARY
from imdm.network.network import Network
from imdm.params import Synthetic
from imdm.sampling.sampler import sample

_STUDENTS = ("mdm", "imdm", "imdm-driven")


def sample_metrics(x: Tensor) -> dict[str, Triple]:
    """Validity with its interval, and entropy of the token marginal, of samples [n, 2]."""
    entropy = token_entropy(x)
    return {"validity_pct": validity(x, BINARY), "token_entropy_nats": (entropy, entropy, entropy)}


def table1(network: Network, samples: int, draws: int, seed: int) -> list[dict]:
    """Rows of Table 1 for one model: one-step samples, and errors at full masking."""
    metrics = sample_metrics(sample(network, row_seeds(root_seed(seed, "samples"), 0, samples), steps=1).tokens)
    metrics |= factorization_errors(word_probabilities(output_probabilities(network, BINARY, draws, seed), BINARY))
    return [{"metric": name, "value": value, "low": low, "high": high} for name, (value, low, high) in metrics.items()]


def table2(network: Network, seed: int) -> list[dict]:
    """Rows of Table 2: P(token = 0) under the first noise that leads to 0 and the first that leads to 1.

    A model without noise shows the same output twice.
    """
    p = output_probabilities(network, BINARY, 1000, seed)[:, :, 0]
    first_zero, first_one = (p[:, 0] > 0.5).int().argmax(), (p[:, 0] <= 0.5).int().argmax()
    rows = []
    for setting, index in (("noise A", first_zero), ("noise B", first_one)):
        rows += [{"setting": setting, "metric": f"P(token{i + 1}=0)_pct", "value": 100 * p[index, i].item()} for i in range(BINARY.length)]
    return rows


def seed_rows(settings: Synthetic, seed: int) -> list[dict]:
    """All rows of one seed: the three students of one teacher, and independent tokens for reference."""
    torch.set_num_threads(1)  # seeds run side by side
    teacher, rows = train_teacher(settings, BINARY, seed), []
    for name in _STUDENTS:
        how = rectification(settings, name)
        network = train_student(settings, BINARY, name, how, teacher, balanced(teacher, BINARY, name, how, seed), seed)
        of_model = [
            {"table": 1, "setting": "1 step, fresh noise"} | row for row in table1(network, settings.samples, settings.noise_draws, seed)
        ]
        of_model += [{"table": 2, "low": row["value"], "high": row["value"]} | row for row in table2(network, seed)]
        rows += [{"model": name, "seed": seed} | row for row in of_model]
    x = torch.randint(2, (settings.samples, 2), generator=torch.Generator().manual_seed(seed))
    about = {"table": 1, "model": "random", "setting": "independent tokens", "seed": seed}
    return rows + [about | {"metric": name, "value": v, "low": low, "high": high} for name, (v, low, high) in sample_metrics(x).items()]

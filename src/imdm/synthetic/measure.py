"""What Tables 1 and 2 measure, on fresh noise."""

from __future__ import annotations

import torch
from scipy.stats import binomtest
from torch import Tensor

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.diffusion.states import initial_masks
from imdm.models.dit import Network
from imdm.params import Synthetic
from imdm.sampling.sampler import sample
from imdm.synthetic.task import LENGTH, VOCAB, student, teacher


@torch.inference_mode()
def output_probabilities(network: Network, draws: int, seed: int) -> Tensor:
    """P(token | noise) of both positions at full masking, for `draws` fresh noise realizations.

    Returns:
        float64 [draws, 2 positions, 2 tokens].
    """
    z = initial_masks(row_seeds(root_seed(seed, "noise"), 0, draws), LENGTH, VOCAB)
    logits = network(z, torch.arange(draws * LENGTH))
    return torch.softmax(logits.double(), dim=-1)[:, :2].view(draws, LENGTH, 2)


def factorization_errors(p: Tensor) -> dict[str, float]:
    """Both readings of the error of Table 1, in nats.

    error_kl_nats: KL(p_data || mean over noise of the product of the positions' probabilities); Eq. 6 at full masking.
    error_valid_mass_nats: mean over noise of -ln(mass of the valid sequences). The paper's 0.082 at 97.7%
    validity is possible under the second alone: the first is at most about 0.03 there.

    Args:
        p: [draws, 2, 2].
    """
    valid = p[:, 0] * p[:, 1]  # [draws, 2]: P(00), P(11)
    mean = valid.mean(0)
    return {
        "error_kl_nats": (0.5 * (0.5 / mean).log()).sum().item(),
        "error_valid_mass_nats": -valid.sum(1).log().mean().item(),
    }


def validity(x: Tensor) -> dict[str, tuple[float, float, float]]:
    """Share of valid sequences in percent and entropy of the token marginal in nats, with 95% Wilson intervals.

    Args:
        x: tokens [n, 2].
    """
    valid = binomtest(int((x[:, 0] == x[:, 1]).sum()), len(x)).proportion_ci(method="wilson")
    share = (x[:, 0] == x[:, 1]).double().mean().item()
    ones = x.double().mean()
    rates = torch.stack([1 - ones, ones])
    entropy = -(rates * rates.clamp(min=1e-12).log()).sum().item()
    return {
        "validity_pct": (100 * share, 100 * valid.low, 100 * valid.high),
        "token_entropy_nats": (entropy, entropy, entropy),
    }


def table1(network: Network, samples: int, draws: int, seed: int) -> list[dict]:
    """Rows of Table 1 for one model: one-step samples, and errors at full masking."""
    drawn = sample(network, row_seeds(root_seed(seed, "samples"), 0, samples), steps=1).tokens
    rows = [{"metric": name, "value": v, "low": low, "high": high} for name, (v, low, high) in validity(drawn).items()]
    errors = factorization_errors(output_probabilities(network, draws, seed))
    return rows + [{"metric": name, "value": value, "low": value, "high": value} for name, value in errors.items()]


def table2(network: Network, seed: int) -> list[dict]:
    """Rows of Table 2: P(token = 0) under the first noise that leads to 0 and the first that leads to 1.

    A model without noise shows the same output twice.
    """
    p = output_probabilities(network, 1000, seed)[:, :, 0]
    first_zero, first_one = (p[:, 0] > 0.5).int().argmax(), (p[:, 0] <= 0.5).int().argmax()
    rows = []
    for setting, index in (("noise A", first_zero), ("noise B", first_one)):
        rows += [{"setting": setting, "metric": f"P(token{i + 1}=0)_pct", "value": 100 * p[index, i].item()} for i in range(LENGTH)]
    return rows


# name, mask kind, which rectification, how the teacher draws
MODELS = (
    ("mdm", "single", "random", "independent"),
    ("imdm", "infinite", "random", "independent"),
    ("imdm-driven", "infinite", "driven", "from_noise_in_order"),
)


def seed_rows(settings: Synthetic, seed: int) -> list[dict]:
    """All rows of one seed: the three students of one teacher, and independent tokens for reference."""
    torch.set_num_threads(1)  # seeds run side by side
    source, rows = teacher(settings, seed), []
    for name, mask, kind, draws in MODELS:
        network = student(settings, getattr(settings, kind), mask, draws, source, seed)
        found = [
            {"table": 1, "setting": "1 step, fresh noise"} | row for row in table1(network, settings.samples, settings.noise_draws, seed)
        ]
        found += [{"table": 2, "low": row["value"], "high": row["value"]} | row for row in table2(network, seed)]
        rows += [{"model": name, "seed": seed} | row for row in found]
    x = torch.randint(2, (settings.samples, 2), generator=torch.Generator().manual_seed(seed))
    for name, (value, low, high) in validity(x).items():
        rows.append(
            {
                "table": 1,
                "model": "random",
                "setting": "independent tokens",
                "seed": seed,
                "metric": name,
                "value": value,
                "low": low,
                "high": high,
            }
        )
    return rows

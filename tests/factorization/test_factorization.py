"""The estimate of the factorization error against enumeration, on words that can be listed."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from torch import nn

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.noise import carried_uniform
from imdm.diffusion.states import is_masked, key_of
from imdm.errors import UserError
from imdm.factorization import check_teacher, log_mean_exp, path_errors
from imdm.network.config import NetworkConfig
from networks import SMALL

LN2 = math.log(2)


def draw_words(count: int, length: int, letters: int, seed: int) -> torch.Tensor:
    """Equally likely words int64 [count, length]."""
    codes = np.random.default_rng(seed).permutation(letters**length)[:count]
    return torch.from_numpy(codes[:, None] // letters ** np.arange(length) % letters)


BINARY = torch.tensor([[0, 0], [1, 1]])


class Oracle(nn.Module):
    """The exact conditionals of words: P(letter at a position | the visible letters), as a network; noise is not looked at."""

    def __init__(self, words: torch.Tensor, mask: str = "single"):
        super().__init__()
        self.words, self.letters = words, int(words.max()) + 1
        sizes = SMALL | {"vocab_size": self.letters + 1, "mask_id": self.letters, "seq_len": words.shape[1]}
        self.config = NetworkConfig(**sizes, mask=mask)

    def forward(self, z, positions, latent=None):
        fits = ((z[:, None] == self.words) | is_masked(z, self.letters + 1)[:, None]).all(-1).double()  # [B, K]
        letters = nn.functional.one_hot(self.words, self.letters + 1).double()
        weight = torch.einsum("bk,klv->blv", fits, letters) / fits.sum(1).clamp(min=1)[:, None, None]
        return weight.clamp(min=1e-300).log().flatten(0, 1)[positions]


class Smoothed(Oracle):
    """Conditionals mixed with the uniform distribution: marginals that err, positions that noise does not bind."""

    def forward(self, z, positions, latent=None):
        return torch.logaddexp(super().forward(z, positions) + math.log(0.9), torch.tensor(math.log(0.1 / self.letters)))


class Carried(Oracle):
    """Theorem 4.2's student of {00, 11}: both positions write the letter that the first masked key chooses."""

    def forward(self, z, positions, latent=None):
        masked = is_masked(z, 3)
        first = carried_uniform(key_of(z, 3)).gather(1, masked.int().argmax(1, keepdim=True)).squeeze(1) < 0.5
        letter = torch.where(masked.all(1), first.long(), z.where(~masked, -1).amax(1))
        logits = torch.full((len(z), 2, 3), -1e6, dtype=torch.float64)
        return logits.scatter(2, letter[:, None, None].expand(-1, 2, 1), 0.0).flatten(0, 1)[positions]


def brute_total_correlation(table: np.ndarray, steps: int) -> float:
    """Sum over the N transitions of E[TC(z_s | z_t)], by listing words, steps of positions and outcomes."""
    total, length = 0.0, table.shape[1]
    for at in itertools.product(range(steps), repeat=length):
        for step in range(steps):
            now = [i for i in range(length) if at[i] == step]
            before = [i for i in range(length) if at[i] < step]
            for word in table:
                same = [w for w in table if all(w[i] == word[i] for i in before)]
                joint = sum(all(w[i] == word[i] for i in now) for w in same) / len(same)
                product = math.prod(sum(w[i] == word[i] for w in same) / len(same) for i in now)
                total += math.log(joint / product) / len(table) / steps**length
    return total


def test_total_correlation_of_the_papers_task_is_ln_2():
    for steps in (1, 2, 4):  # both positions fall in one of N steps with probability 1/N
        assert brute_total_correlation(BINARY.numpy(), steps) == pytest.approx(LN2 / steps)


@pytest.mark.parametrize("words", [BINARY, draw_words(5, 3, 4, 1), draw_words(12, 4, 3, 2)], ids=["binary", "5x3", "12x4"])
def test_the_estimate_for_an_exact_model_is_its_total_correlation(words):
    teacher, count = Oracle(words), 6000
    x = words[torch.arange(count) % len(words)]
    for steps in (1, 2, 4):
        errors = path_errors(teacher, teacher, x, row_seeds(5, 0, count), steps, [1, 2])["errors"]
        half = 4 * errors[:, 0].std().item() / math.sqrt(count) + 1e-9
        assert errors[:, 0].mean().item() == pytest.approx(brute_total_correlation(words.numpy(), steps), abs=half)
        assert torch.equal(errors[:, 0], errors[:, 1])


def test_the_parts_make_the_error():
    words = draw_words(5, 3, 4, 1)
    teacher, x = Oracle(words), words[torch.arange(600) % 5]
    for student in (Smoothed(words), Smoothed(words, "infinite")):
        found = path_errors(teacher, student, x, row_seeds(5, 0, 600), 2, [1, 8])
        assert torch.allclose(found["correlation"] + found["marginals"] - found["dependence"], found["errors"][:, 1])
        assert (found["marginals"].mean() > 0) and (found["dependence"].abs() < 1e-9).all()
    noise = path_errors(Oracle(BINARY), Carried(BINARY, "infinite"), BINARY[:1].repeat(500, 1), row_seeds(5, 0, 500), 1, [64])
    assert noise["correlation"].mean().item() == pytest.approx(LN2)
    assert noise["dependence"].mean().item() == pytest.approx(LN2, abs=0.05)
    assert noise["marginals"].mean().item() == pytest.approx(0, abs=0.02)


def test_the_joint_of_an_exact_teacher_is_the_datas_likelihood():
    words = draw_words(12, 4, 3, 2)
    teacher = Oracle(words)
    joint = path_errors(teacher, teacher, words[:4], row_seeds(0, 0, 4), 1, [1])["joint"]
    assert joint.tolist() == pytest.approx([-math.log(12)] * 4)  # whatever the order and the word that it draws


def test_noise_that_chooses_the_word_removes_the_error_as_m_grows():
    """KL(data || mean over M draws) of Carried, whose draws are right with probability 1/2: by the binomial distribution."""
    teacher, student, count, sizes = Oracle(BINARY), Carried(BINARY, "infinite"), 4000, [1, 16, 64]
    x = BINARY[torch.arange(count) % 2]
    errors = path_errors(teacher, student, x, row_seeds(2, 0, count), 1, sizes)["errors"]
    assert (errors[:, 0] > 1000).all()  # half of the single draws give the word no probability
    for place, draws in ((1, 16), (2, 64)):
        k = np.arange(1, draws + 1)
        chance = np.array([math.comb(draws, int(n)) for n in k], float) / 2.0**draws
        expected = (chance * np.log(0.5 * draws / k)).sum() / chance.sum()
        seen = errors[:, place][errors[:, place] < 100].mean().item()
        assert seen == pytest.approx(expected, abs=5 / math.sqrt(draws * count))
    assert errors[:, 2].median().abs() < 0.2


def test_log_mean_exp_is_scipys():
    values = torch.randn(5, 8, dtype=torch.float64)
    for size in (1, 2, 8):
        groups = values.numpy().reshape(5, -1, size)
        expected = (logsumexp(groups, axis=-1) - math.log(size)).mean(-1)
        assert log_mean_exp(values, size).numpy() == pytest.approx(expected)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_more_draws_never_raise_the_estimate_of_a_sequence(seed):
    values = torch.randn(3, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = torch.stack([log_mean_exp(values, size) for size in (1, 4, 16)])
    assert (found.diff(dim=0) >= -1e-12).all()


def test_rows_do_not_depend_on_their_batch():
    words = draw_words(5, 3, 4, 1)
    teacher, student = Oracle(words), Oracle(words, "infinite")
    x, seeds = words[torch.arange(7) % 5], row_seeds(1, 0, 7)
    whole = path_errors(teacher, student, x, seeds, 2, [1, 2])
    parts = [path_errors(teacher, student, x[rows], seeds[rows], 2, [1, 2]) for rows in (slice(0, 3), slice(3, 7))]
    for name, value in whole.items():
        assert torch.equal(value, torch.cat([part[name] for part in parts]))


def test_a_teacher_with_noise_is_refused():
    with pytest.raises(UserError, match="single mask"):
        check_teacher(Oracle(BINARY, "infinite").config, "x.safetensors")

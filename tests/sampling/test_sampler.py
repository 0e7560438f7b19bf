"""The sampler against exact probabilities and a plain ancestral sampler."""

import itertools

import pytest
import torch
from scipy import stats

from imdm.diffusion.counter import row_seeds
from imdm.sampling.sampler import sample
from networks import small_network

TWO = dict(vocab_size=4, mask_id=3, seq_len=2, learned_positions=True)


@torch.no_grad()
def exact_single_mask(network, together_chance):
    """P(x) of an MDM with two positions, by enumeration: both unmasked in one step, or one after the other.

    A latent is integrated out by the midpoint rule: tokens of one call share it, those of two calls do not.
    """
    count = 1 if network.config.latent_hidden is None else 5000
    latent = None if network.config.latent_hidden is None else (torch.arange(count) + 0.5) / count

    def given(*state):
        logits = network(torch.tensor([state]).expand(count, 2), torch.arange(2 * count), latent)
        return torch.softmax(logits.double(), -1).view(count, 2, 4)

    first, probabilities = given(4, 4), {}
    for a, b in itertools.product(range(3), repeat=2):
        together = (first[:, 0, a] * first[:, 1, b]).mean()
        a_first = first[:, 0, a].mean() * given(a, 4)[:, 1, b].mean()
        b_first = first[:, 1, b].mean() * given(4, b)[:, 0, a].mean()
        probabilities[a, b] = (together * together_chance + (1 - together_chance) * (a_first + b_first) / 2).item()
    return probabilities


@pytest.mark.parametrize("latent_hidden", [None, 8])
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("even", [False, True])
def test_single_mask_distribution_is_exact(even, steps, latent_hidden):
    network = small_network(mask="single", latent_hidden=latent_hidden, **TWO)
    expected = exact_single_mask(network, float(steps == 1) if even else 1 / steps)
    assert sum(expected.values()) == pytest.approx(1)
    drawn = sample(network, row_seeds(1, 0, 20_000), steps, unmasking="even" if even else "independent")
    counts = (drawn.tokens[:, 0] * 3 + drawn.tokens[:, 1]).bincount(minlength=9)
    assert stats.chisquare(counts, [20_000 * expected[a, b] for a, b in itertools.product(range(3), repeat=2)]).pvalue > 1e-3


@pytest.mark.parametrize("mask", ["single", "infinite"])
@pytest.mark.parametrize("steps", [1, 3, 40])
def test_calls_and_steps(mask, steps):
    network = small_network(mask=mask)
    drawn = sample(network, row_seeds(1, 0, 50), steps)
    assert (drawn.tokens < 7).all() and (drawn.tokens != 3).all()
    assert drawn.unmasked_at.min() >= 0 and drawn.unmasked_at.max() < steps
    distinct = torch.tensor([len(row.unique()) for row in drawn.unmasked_at])
    assert torch.equal(drawn.calls, distinct) and (drawn.calls <= min(steps, 5)).all()


@pytest.mark.parametrize("steps", [1, 3, 5, 40])
@pytest.mark.parametrize("prefix", [0, 2, 5])
def test_even_steps_have_equal_numbers(steps, prefix):
    """To one, of what is masked; and each position is in each step as often as in any other."""
    visible = torch.arange(5).expand(3000, 5) < prefix
    network, left = small_network(mask="single"), 5 - prefix
    given = visible, torch.zeros(3000, 5, dtype=torch.int64)
    at = sample(network, row_seeds(3, 0, 3000), steps, visible=given, unmasking="even").unmasked_at
    assert (at[:, :prefix] == -1).all() and at.max() < steps
    for row in at[:50, prefix:]:
        counts = row.bincount(minlength=steps)
        assert counts.max() - counts.min() <= 1 and counts.sum() == left
    if left > 1 and steps > 1:
        table = torch.stack([column.bincount(minlength=steps) for column in at[:, prefix:].T])
        assert stats.chi2_contingency(table[:, table.sum(0) > 0]).pvalue > 1e-3


def test_every_call_of_a_row_has_a_latent_of_its_own():
    """As uniform as it should be, other in each step and row, and the same in whatever batch the row is."""
    network, seen = small_network(mask="single", latent_hidden=8), []
    original = network.rows

    def rows(z, positions, latent, masked):
        seen.append(latent[(positions // 5).unique()])  # of rows that take part
        return original(z, positions, latent, masked)

    network.rows = rows
    seeds = row_seeds(4, 0, 500)
    calls = int(sample(network, seeds, 3).calls.sum())
    latents = torch.cat(seen)
    assert len(latents) == calls == len(latents.unique())
    assert stats.kstest(latents.numpy(), "uniform").pvalue > 1e-3
    seen.clear()
    sample(network, seeds[100:103], 3)
    assert torch.isin(torch.cat(seen), latents).all()


def test_visible_positions_stay():
    network = small_network()
    x = torch.randint(0, 3, (20, 5))
    visible = torch.rand(20, 5) < 0.5
    drawn = sample(network, row_seeds(4, 0, 20), 3, visible=(visible, x))
    assert torch.equal(drawn.tokens[visible], x[visible])
    assert (drawn.unmasked_at[visible] == -1).all() and (drawn.unmasked_at[~visible] >= 0).all()
    full = sample(network, row_seeds(4, 0, 20), 3, visible=(torch.ones_like(visible), x))
    assert torch.equal(full.tokens, x) and (full.calls == 0).all()


def test_a_keyed_teacher_writes_in_the_dilated_order_whatever_is_asked_for():
    network, seeds = small_network(mask="single"), row_seeds(6, 0, 30)
    in_order = sample(network, seeds, 10, draws="from_noise_in_order", unmasking="even")
    assert not torch.equal(in_order.tokens, sample(network, seeds, 10, unmasking="dilated").tokens)  # by other draws
    assert torch.equal(in_order.unmasked_at, torch.tensor([0, 6, 4, 8, 2]).expand(30, 5))

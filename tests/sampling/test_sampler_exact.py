"""The sampler's distribution is the plain algorithm's, by exact enumeration of every trajectory.

The plain algorithm is Eq. 13 read literally: at every step, every masked position draws one of V + 2 outcomes. Its
distribution follows from a matrix over all states. The sampler itself is run on a batch that holds every outcome of
every draw, forced upon it, and weighs each by the probability that it would have had: P(x) is their sum, to rounding.
"""

import itertools
import math

import pytest
import torch
from scipy import stats

from imdm.diffusion.counter import Stream, row_seeds
from imdm.diffusion.posterior import posterior_rows
from imdm.diffusion.schedule import time_grid
from imdm.diffusion.states import is_masked
from imdm.sampling import sampler
from imdm.sampling.sampler import sample
from networks import small_network

VOCAB, TOKENS = 3, 2  # the third token is the mask's


def some_network(mask, length):
    sizes = dict(vocab_size=VOCAB, mask_id=2, seq_len=length, learned_positions=True, finite_masks=2)
    network = small_network(5 if mask == "infinite" else 9, mask=mask, **sizes).double()
    for block in network.blocks:  # so that it attends, and states matter
        for layer, factor in ((block.attn_out, 5), (block.attn_qkv, 3), (block.adaLN_modulation, 3)):
            layer.weight.data *= factor
    return network


@torch.no_grad()
def plain_distribution(network, steps, keys):
    """P(x) of each text after all steps from full masking, where M has `keys` mask states: a chain over all states."""
    length = network.config.seq_len
    symbols = [*range(TOKENS), *range(VOCAB, VOCAB + keys)]
    states = torch.tensor(list(itertools.product(symbols, repeat=length)))
    probabilities = torch.softmax(network(states, torch.arange(states.numel())).double(), -1)
    masked = is_masked(states, VOCAB)
    p = masked.all(1).double() / keys**length
    for t, s in itertools.pairwise(time_grid(steps, torch.ones(1, dtype=torch.float64))[0]):
        outcome = posterior_rows(probabilities, t, s).view(*states.shape, VOCAB + 2)
        chain = torch.ones(len(states), len(states), dtype=torch.float64)
        for position in range(length):
            to = torch.stack([outcome[:, position, x] for x in range(TOKENS)] + keys * [outcome[:, position, -1] / keys], dim=1)
            own = states[:, position, None] == torch.tensor(symbols)
            to = torch.where(masked[:, position, None], to + own * outcome[:, position, -2:-1], own.double())
            chain *= to[:, [symbols.index(x) for x in states[:, position].tolist()]]
        p = p @ chain
    assert p[masked.any(1)].sum() < 1e-12
    return p[~masked.any(1)]


class Forced:
    """Stands for the sampler's draws: row r of the batch gets the r-th combination of all outcomes.

    The outcomes: step of each position, its token, its first key, and for each step and position whether the key is kept
    (0) or replaced by one of the `keys` (1, 2, ...). Draws that a trajectory does not make are summed out with 1.
    """

    def __init__(self, length, steps, keys):
        self.length, self.steps = length, steps
        redrawn = steps * length if keys > 1 else 0
        ranges = length * [range(steps)] + length * [range(TOKENS)] + length * [range(keys)] + redrawn * [range(keys + 1)]
        columns = torch.cartesian_prod(*(torch.tensor(part) for part in ranges))
        self.order, self.token, self.key, self.redraw = columns.split([length, length, length, redrawn], dim=1)
        self.kinds = keys + 1
        prior = -length * math.log(steps * keys) - redrawn * math.log(self.kinds)
        self.log_weight = torch.full((len(columns),), prior, dtype=torch.float64)
        self.first = self.order == self.order.amin(1, keepdim=True)

    def initial_masks(self, seeds, length, vocab):
        return vocab + self.key[seeds]

    def bits(self, seeds, stream, *coordinates):
        """What is drawn, in one number: stream, row, step, position."""
        code = (int(stream) * len(self.log_weight) + seeds) * self.steps
        if stream in (Stream.FRESH, Stream.REDRAW):
            self.calls = seeds, coordinates[0]
            return (code + coordinates[0]) * self.length
        return code * self.length + coordinates[0]

    def fold(self, code, position):
        return code + position

    def read(self, code):
        """(stream, row, step, position)."""
        rest = code // self.length
        return rest // self.steps // len(self.log_weight), rest // self.steps % len(self.log_weight), rest % self.steps, code % self.length

    def uniform(self, code):
        stream, row, step, position = self.read(code)
        if (stream == Stream.UNMASK).all():
            return (self.order[row, position] + 0.5).double() / self.steps
        if (stream == Stream.TOKEN).all():
            return (row * self.length + position).double()
        outcome, kept = self.redraw[row, step * self.length + position], self.kept[row, step]
        self.log_weight.index_add_(0, row, (self.kinds * torch.where(outcome == 0, kept, (1 - kept) / (self.kinds - 1))).log())
        return torch.where(outcome == 0, -1.0, 2.0).double()

    def to_state(self, code, vocab):
        _, row, step, position = self.read(code)
        return vocab + (self.redraw[row, step * self.length + position] - 1).clamp(min=0)

    def keep_probability(self, t, s):
        """The sampler's own, by row and step of its call: `uniform` weighs the draws with it."""
        kept, (row, step) = sampler_keep(t, s), self.calls
        called = step.diff(dim=1, prepend=torch.full_like(step[:, :1], -1)) > 0  # beyond a row's calls the steps mean nothing
        self.kept = torch.zeros(len(self.log_weight), self.steps, dtype=torch.float64)
        self.kept[row.expand_as(step)[called], step[called]] = kept[called]
        return kept

    def draw_tokens(self, network, rows, u, temperature):
        which = u.long().reshape(len(rows), -1)
        row, position = which // self.length, which % self.length
        token = self.token[row, position]
        p = torch.softmax(network.subs(rows).double(), -1).gather(1, token)
        used = self.first[row, position] if u.dim() == 2 else torch.ones_like(row, dtype=torch.bool)  # shared: those of the first call
        self.log_weight.index_add_(0, row[used], p[used].log())
        return token.view(u.shape)


sampler_keep = sampler.keep_probability
CASES = [("single", 3, steps, 1) for steps in (1, 2, 3, 5)] + [("finite", 2, steps, 2) for steps in (1, 2, 3)] + [("infinite", 2, 2, 2)]


@pytest.mark.parametrize(("mask", "length", "steps", "keys"), CASES)
def test_every_trajectory_together_gives_the_plain_distribution(mask, length, steps, keys, monkeypatch):
    """Select-then-project, skipped steps with their product of kept probabilities, the shared first call: no bias.

    The infinite mask is held against the plain algorithm where M has two states: noise vectors of two keys.
    """
    network, forced = some_network(mask, length), Forced(length, steps, keys)
    for name in ("initial_masks", "bits", "fold", "uniform", "to_state", "keep_probability", "draw_tokens"):
        monkeypatch.setattr(sampler, name, getattr(forced, name))
    drawn = sample(network, torch.arange(len(forced.log_weight)), steps)
    assert torch.equal(drawn.tokens, forced.token) and torch.equal(drawn.unmasked_at, forced.order)
    index = (drawn.tokens * TOKENS ** torch.arange(length - 1, -1, -1)).sum(1)
    found = torch.zeros(TOKENS**length, dtype=torch.float64).index_add(0, index, forced.log_weight.exp())
    expected = plain_distribution(network, steps, keys)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12) and expected.sum().item() == pytest.approx(1)


@pytest.mark.parametrize(("mask", "length", "keys"), [("single", 3, 1), ("finite", 2, 2), ("infinite", 2, 2)])
def test_keys_and_steps_matter_in_these_networks(mask, length, keys):
    """So the enumeration could fail: P(x) varies with the number of steps, and with the keys where there are some."""
    network = some_network(mask, length)
    assert (plain_distribution(network, 1, keys) - plain_distribution(network, 3, keys)).abs().max() > 0.01
    if keys > 1:
        assert (plain_distribution(network, 3, 1) - plain_distribution(network, 3, 2)).abs().max() > 0.01


@pytest.mark.parametrize(("mask", "length", "steps"), [("single", 3, 2), ("single", 3, 7), ("finite", 2, 3), ("finite", 2, 20)])
def test_real_draws_follow_the_plain_distribution(mask, length, steps):
    """A finite mask sees its key mod 2, so that two states stand for all keys."""
    network, count = some_network(mask, length), 50_000
    tokens = sample(network.float(), row_seeds(5, 0, count), steps).tokens
    counts = (tokens * TOKENS ** torch.arange(length - 1, -1, -1)).sum(1).bincount(minlength=TOKENS**length)
    expected = plain_distribution(network.double(), steps, 1 if mask == "single" else 2)
    assert stats.chisquare(counts.numpy(), (count * expected / expected.sum()).numpy()).pvalue > 1e-3


@torch.no_grad()
def plain_samples(network, count, steps):
    """Step by step as Eq. 13 reads, with keys of 62 bits from torch's own generator."""
    generator = torch.Generator().manual_seed(0)
    z = VOCAB + torch.randint(2**62, (count, network.config.seq_len), generator=generator)
    for t, s in itertools.pairwise(time_grid(steps, torch.ones(1, dtype=torch.float64))[0]):
        rows = posterior_rows(torch.softmax(network(z, torch.arange(z.numel())).double(), -1), t, s)
        outcome = torch.multinomial(rows, 1, generator=generator).view_as(z)
        fresh = VOCAB + torch.randint(2**62, z.shape, generator=generator)
        following = torch.where(outcome < VOCAB, outcome, torch.where(outcome == VOCAB, z, fresh))
        z = torch.where(is_masked(z, VOCAB), following, z)
    return z


def test_infinite_masks_give_the_texts_of_the_plain_algorithm():
    network, count, steps = some_network("infinite", 3).float(), 30_000, 4
    found = [sample(network, row_seeds(6, 0, count), steps).tokens, plain_samples(network, count, steps)]
    table = torch.stack([(x * TOKENS ** torch.arange(2, -1, -1)).sum(1).bincount(minlength=TOKENS**3) for x in found])
    assert stats.chi2_contingency(table[:, table.sum(0) > 20].numpy()).pvalue > 1e-3

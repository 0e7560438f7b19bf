"""A stationary Markov chain whose every probability is exact: the data, the best MDM of it, and how near samples come to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from imdm.diffusion.counter import Stream, bits, root_seed, row_seeds, uniform
from imdm.languages.measure import Figures, mean_interval
from imdm.network.config import NetworkConfig
from imdm.network.network import NEVER

FLOOR = 1e-3  # least probability of a transition: no sequence is impossible, and no token costs more than 6.9 nats
_MOST_SCALE, _HALVINGS = 100.0, 60


@dataclass(frozen=True)
class MarkovChain:
    """Sequences of L states, the first from the stationary distribution.

    Attributes:
        transition: P(next | state), float64 [V, V], every entry positive.
        length: L.
    """

    transition: Tensor
    length: int

    @property
    def letters(self) -> int:
        return len(self.transition)

    @property
    def vocab_size(self) -> int:
        return self.letters + 1

    @cached_property
    def stationary(self) -> Tensor:
        """The distribution of every position, float64 [V]."""
        return _stationary(self.transition)

    @property
    def entropy_rate(self) -> float:
        """Entropy of a token given the one before it, in nats."""
        return _entropy_rate(self.transition)

    @property
    def entropy(self) -> float:
        """Entropy of a sequence over its L tokens, in nats: the `nll` of the data itself on average."""
        first = torch.special.entr(self.stationary).sum().item()
        return (first + (self.length - 1) * self.entropy_rate) / self.length

    def batch(self, seed: int, step: int, count: int) -> Tensor:
        """Fresh sequences int64 [count, L], a function of (seed, step)."""
        u = uniform(bits(row_seeds(seed, step * count, count)[:, None], Stream.TOKEN, torch.arange(self.length)))
        cumulative = self.transition.cumsum(1)[:, :-1]  # without its last, so that rounding leads to no state that isn't there
        x = [torch.searchsorted(self.stationary.cumsum(0)[:-1], u[:, 0].contiguous())]
        for place in range(1, self.length):
            x.append((cumulative[x[-1]] < u[:, place, None]).sum(1))
        return torch.stack(x, 1)

    def nll(self, x: Tensor) -> Tensor:
        """-ln P(x) / L of sequences [n, L], nats a token, float64 [n]; at most -ln of the least entry of the transitions."""
        steps = self.transition.log()[x[:, :-1], x[:, 1:]].sum(1)
        return -(self.stationary.log()[x[:, 0]] + steps) / x.shape[1]

    def log_marginals(self, z: Tensor) -> Tensor:
        """ln P(position's token | visible tokens), by forward and backward messages.

        Args:
            z: states int64 [n, L]: tokens, or mask states from vocab_size on.

        Returns:
            float64 [n, L, V + 1]; the mask token, and all but its own token at a visible position, have `NEVER`.
        """
        masked = z >= self.vocab_size
        shown = torch.nn.functional.one_hot(z.masked_fill(masked, 0), self.letters).double()
        shown = torch.where(masked[..., None], 1.0, shown)
        left, right = torch.empty_like(shown), torch.ones_like(shown)
        left[:, 0] = self.stationary
        for place in range(1, z.shape[1]):
            left[:, place] = _normalised(left[:, place - 1] * shown[:, place - 1]) @ self.transition
            right[:, -place - 1] = _normalised(right[:, -place] * shown[:, -place]) @ self.transition.T
        log_p = _normalised(left * right * shown).log().clamp(min=NEVER)
        return torch.nn.functional.pad(log_p, (0, 1), value=NEVER)


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True)


def _stationary(transition: Tensor) -> Tensor:
    size = len(transition)
    system = torch.cat([transition.T - torch.eye(size, dtype=torch.float64), torch.ones(1, size, dtype=torch.float64)])
    target = torch.zeros(size + 1, dtype=torch.float64)
    target[-1] = 1
    return torch.linalg.lstsq(system, target[:, None]).solution[:, 0]


def _entropy_rate(transition: Tensor) -> float:
    return (_stationary(transition) * torch.special.entr(transition).sum(1)).sum().item()


def draw_chain(states: int, length: int, entropy_rate: float, seed: int) -> MarkovChain:
    """A chain whose rows are softmax(scale * standard Gaussians), at least `FLOOR`; the scale gives the entropy rate, in nats."""
    logits = torch.randn(states, states, dtype=torch.float64, generator=torch.Generator().manual_seed(root_seed(seed, f"chain:{states}")))

    def transition(scale: float) -> Tensor:
        return FLOOR + (1 - states * FLOOR) * torch.softmax(scale * logits, dim=1)

    low, high = 0.0, _MOST_SCALE
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _entropy_rate(transition(middle)) > entropy_rate else (low, middle)
    return MarkovChain(transition(high), length)


class BestMdm:
    """The best masked diffusion model of a chain: exact conditional marginals in the place of a network that `sample` reads.

    Its error is the factorization of the tokens of one step alone, none where each step unmasks one. It is best by the KL from
    the data to the model; by metrics of what a model writes, one with sharper marginals can be ahead of it.
    """

    def __init__(self, chain: MarkovChain):
        self.chain = chain
        sizes = {"hidden_size": 1, "blocks": 1, "heads": 1, "cond_dim": 1, "dropout": 0.0}  # of no network
        self.config = NetworkConfig(vocab_size=chain.vocab_size, mask_id=chain.letters, seq_len=chain.length, mask="single", **sizes)

    def rows(self, z: Tensor, positions: Tensor, latent: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """ln P(token | visible tokens) at flat indices `positions` [n] into B*L: float64 [n, V + 1]."""
        return self.chain.log_marginals(z).flatten(0, 1)[positions]

    def subs(self, rows: Tensor) -> Tensor:
        """The rows themselves: the mask token has no probability in them."""
        return rows


def chain_figures(x: Tensor, chain: MarkovChain) -> Figures:
    """Metrics of samples int64 [n, L] in nats, each with its 95% interval over sequences.

    nll_nats: exact -ln P a token under the chain; lower than `chain.entropy` where samples are more typical than the data.
    bigram_entropy_nats: entropy of a token given the one before it, of the samples' own bigrams; the data's is
        `chain.entropy_rate`.
    bigram_kl_nats: sum of p(a, b) ln(p(b | a) / P(b | a)) with the samples' bigrams p and the chain P: what wrong and what
        missing transitions cost, in one number. It leaves out the first token, and dependence further than one token apart, and
        weighs states as the samples have them: states that never occur cost nothing.

    Both bigram metrics are plug-in estimates over all positions: of n independent bigrams of the chain itself the entropy is
    too low and the KL too high by about V (V - 1) / (2 n), so that the data's own samples are their floor. All three are means
    over sequences of terms that are, to first order, their influence functions, hence the intervals.
    """
    before, after = x[:, :-1], x[:, 1:]
    counts = torch.bincount((before * chain.letters + after).flatten(), minlength=chain.letters**2).view(chain.letters, -1).double()
    own = (counts / counts.sum(1, keepdim=True)).log()  # no transition that never occurs is looked up
    surprise = -own[before, after].mean(1)
    excess = (own - chain.transition.log())[before, after].mean(1)
    terms = {"nll_nats": chain.nll(x), "bigram_entropy_nats": surprise, "bigram_kl_nats": excess}
    return {name: mean_interval(term) for name, term in terms.items()}

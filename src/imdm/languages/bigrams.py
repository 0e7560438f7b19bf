"""How near samples are to a Markov chain, by their bigrams."""

from __future__ import annotations

import torch
from torch import Tensor

from imdm.languages.markov import MarkovChain
from imdm.languages.measure import Triple, mean_interval


def chain_metrics(x: Tensor, chain: MarkovChain) -> dict[str, Triple]:
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
    own = (counts / counts.sum(1, keepdim=True)).log()  # of what never occurs it is never asked
    surprise = -own[before, after].mean(1)
    excess = (own - chain.transition.log())[before, after].mean(1)
    terms = {"nll_nats": chain.nll(x), "bigram_entropy_nats": surprise, "bigram_kl_nats": excess}
    return {name: mean_interval(term) for name, term in terms.items()}

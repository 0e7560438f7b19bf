"""The Markov chain task: exact probabilities against enumeration, the best MDM, metrics of known samples, the stage."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.states import initial_masks, mask_where
from imdm.errors import UserError
from imdm.languages.chain import seed_records
from imdm.languages.markov import FLOOR, BestMdm, MarkovChain, chain_figures, draw_chain
from imdm.params import KeyedWords, load_params
from imdm.results.collect import small_task
from imdm.results.frame import one
from imdm.sampling.sampler import sample
from script import MICRO, ROOT, made

SMALL = draw_chain(3, 4, 0.6, 0)
ALL = torch.tensor(list(itertools.product(range(3), repeat=4)))


def probabilities(chain: MarkovChain) -> torch.Tensor:
    """P of every sequence of `ALL`, by the definition of a chain."""
    p = chain.stationary[ALL[:, 0]]
    for place in range(1, chain.length):
        p = p * chain.transition[ALL[:, place - 1], ALL[:, place]]
    return p


@pytest.mark.parametrize("states, rate", [(3, 0.6), (16, 1.1), (64, 3.0)])
def test_a_chain_is_stationary_and_has_the_entropy_rate_asked_for(states, rate):
    chain = draw_chain(states, 5, rate, 1)
    assert torch.allclose(chain.transition.sum(1), torch.ones(states, dtype=torch.float64))
    assert chain.transition.min() >= FLOOR
    assert torch.allclose(chain.stationary @ chain.transition, chain.stationary)
    assert chain.entropy_rate == pytest.approx(rate, abs=1e-9)
    assert not torch.equal(chain.transition, draw_chain(states, 5, rate, 2).transition)


def test_probabilities_are_those_of_an_enumeration():
    p = probabilities(SMALL)
    assert p.sum().item() == pytest.approx(1)
    assert torch.allclose((-4 * SMALL.nll(ALL)).exp(), p)
    assert SMALL.entropy == pytest.approx(torch.special.entr(p).sum().item() / 4)


def test_conditional_marginals_are_those_of_an_enumeration():
    p = probabilities(SMALL)
    for shown in itertools.product((False, True), repeat=4):
        visible = torch.tensor(shown)
        for x in ALL[::7]:
            z = mask_where(x[None], ~visible[None], torch.tensor([5]), SMALL.vocab_size)
            found = SMALL.log_marginals(z)[0].exp()
            weights = p * (x == ALL)[:, visible].all(1)
            for place in range(4):
                exact = torch.stack([weights[ALL[:, place] == token].sum() for token in range(3)]) / weights.sum()
                assert torch.allclose(found[place, :3], exact) and found[place, 3] == 0


def test_sequences_are_drawn_from_the_chain_and_fresh_in_each_step():
    draws = torch.cat([SMALL.batch(7, step, 1000) for step in range(20)])
    assert torch.equal(draws[:1000], SMALL.batch(7, 0, 1000))
    counts = torch.bincount(draws @ torch.tensor([27, 9, 3, 1]), minlength=81)
    assert chisquare(counts, len(draws) * probabilities(SMALL)).pvalue > 1e-4


def test_the_best_mdm_with_many_steps_is_the_chain_and_with_one_its_marginals():
    count, place = 20_000, torch.tensor([27, 9, 3, 1])
    many = sample(BestMdm(SMALL), row_seeds(1, 0, count), 1024).tokens
    assert chisquare(torch.bincount(many @ place, minlength=81), count * probabilities(SMALL)).pvalue > 1e-4
    one = sample(BestMdm(SMALL), row_seeds(2, 0, count), 1).tokens
    independent = SMALL.stationary[ALL].prod(1)
    assert chisquare(torch.bincount(one @ place, minlength=81), count * independent).pvalue > 1e-4


def test_the_networks_own_sampler_gives_the_best_mdm_its_order():
    """Common random numbers: which positions are unmasked when is a function of the seeds, not of the model."""
    seeds = row_seeds(3, 0, 50)
    found = sample(BestMdm(SMALL), seeds, 4)
    later = SMALL.log_marginals(initial_masks(seeds, 4, SMALL.vocab_size))
    assert torch.allclose(later[0, :, :3].exp(), SMALL.stationary.expand(4, -1))
    assert found.unmasked_at.min() == 0 and found.unmasked_at.max() == 3 and found.calls.max() <= 4


def test_metrics_of_the_chains_own_samples_are_its_entropies_but_for_the_known_bias():
    chain, count = draw_chain(4, 8, 0.9, 0), 200
    found = [chain_figures(chain.batch(seed, 0, count), chain) for seed in range(300)]
    mean = {name: np.mean([one[name][0] for one in found]) for name in found[0]}
    bias = 4 * 3 / (2 * count * 7)
    assert mean["nll_nats"] == pytest.approx(chain.entropy, abs=0.003)
    assert mean["bigram_kl_nats"] == pytest.approx(bias, rel=0.25)
    assert mean["bigram_entropy_nats"] == pytest.approx(chain.entropy_rate - bias, abs=0.003)
    for name, exact in (("nll_nats", chain.entropy), ("bigram_entropy_nats", chain.entropy_rate)):
        covered = np.mean([low <= exact <= high for _, low, high in (one[name] for one in found)])
        assert 0.9 < covered < 0.99


def test_bigram_kl_counts_wrong_and_missing_transitions():
    chain = draw_chain(4, 8, 0.9, 0)
    wrong = torch.randint(4, (2000, 8), generator=torch.Generator().manual_seed(0))
    value, low, high = chain_figures(wrong, chain)["bigram_kl_nats"]
    exact = (0.25 / chain.transition).log().mean().item()
    assert low < exact + 4 * 3 / (2 * 2000 * 7) < high and high - low < 0.1
    one = chain.transition.argmax(1)
    certain = torch.stack([torch.arange(4).repeat(50)] * 8, 1)
    for place in range(1, 8):
        certain[:, place] = one[certain[:, place - 1]]
    found = chain_figures(certain, chain)
    assert found["bigram_entropy_nats"][0] == pytest.approx(0) and found["bigram_kl_nats"][0] > 0.3
    assert found["nll_nats"][0] < chain.entropy  # more typical than the data, and missing most of it
    worst = chain_figures(torch.stack([torch.arange(4), chain.transition.argmin(1)], 1), chain)
    assert all(np.isfinite(triple).all() for triple in worst.values())


def test_a_student_that_sees_the_noise_comes_nearer_in_one_step_than_any_mdm():
    sizes = dict(states=3, length=3, entropy_rate=0.4, hidden_size=32, blocks=1, teacher_steps=200, steps=[1, 3], samples=500)
    keyed = KeyedWords(steps=250, batch_size=64, lr=3e-3, teacher_steps=3)
    task = load_params(ROOT / "params.yaml").chain.model_copy(update=sizes | {"models": ["keyed"], "keyed": keyed})
    rows = seed_records(task, 0)
    found = {(row["model"], row["steps"]): row["value"] for row in rows if row["metric"] == "bigram_kl_nats"}
    assert found["data", None] < 0.02
    assert found["best-mdm", 3] < found["best-mdm", 1] / 2
    assert found["teacher", 1] > 0.8 * found["best-mdm", 1]
    assert found["keyed", 1] < 0.7 * found["best-mdm", 1]


def test_an_entropy_rate_out_of_reach_is_one_sentence():
    with pytest.raises(UserError, match=r"entropy_rate is 3.0; of 4 states it must be 0.28 to 1.32 nats"):
        load_params(MICRO, ["chain.entropy_rate=3.0"])


@pytest.mark.slow
def test_the_stage_gives_the_same_with_any_number_of_workers(tmp_path):
    for workers in (1, 2):
        made("chain", tmp_path / str(workers), sets=[f"chain.workers={workers}", "chain.seeds=[0,1]"])
    assert (tmp_path / "1/chain.csv").read_text() == (tmp_path / "2/chain.csv").read_text()
    frame = pd.read_csv(tmp_path / "1/chain.csv")
    assert set(frame["model"]) == {"data", "best-mdm", "teacher", "mdm", "imdm", "imdm-driven", "imdm-driven-any-order", "keyed"}
    assert set(frame["seed"]) == {0, 1} and frame[["value", "low", "high"]].notna().all(axis=None)
    mean = one(small_task(tmp_path / "1/chain.csv"), model="keyed", metric="nll_nats", steps=1, seed=None)
    seeds = frame[(frame["model"] == "keyed") & (frame["metric"] == "nll_nats") & (frame["steps"] == 1)]["value"]
    assert (mean.value, mean.low, mean.high) == pytest.approx((seeds.mean(), seeds.min(), seeds.max()))

"""The Markov chain task: how near few-step students come to a distribution that is known exactly."""

from __future__ import annotations

import torch

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.languages.best_mdm import BestMdm
from imdm.languages.bigrams import chain_metrics
from imdm.languages.markov import MarkovChain, draw_chain
from imdm.languages.measure import Triple
from imdm.languages.task import MODELS, couplings, rectification, train_keyed, train_student, train_teacher
from imdm.network.network import Network
from imdm.params import Chain
from imdm.sampling.sampler import sample

COLUMNS = ("states", "length", "model", "seed", "steps", "metric", "value", "low", "high")


def seed_rows(settings: Chain, seed: int) -> list[dict]:
    """All rows of one seed: the chain's own samples, the best MDM, the teacher, and its students `settings.models`."""
    torch.set_num_threads(1)  # seeds run side by side
    chain = draw_chain(settings.states, settings.length, settings.entropy_rate, seed)
    teacher = train_teacher(settings, chain, seed)
    networks = {"best-mdm": BestMdm(chain), "teacher": teacher}
    networks |= {name: _student(settings, chain, name, teacher, seed) for name in settings.models}
    rows = data_rows(chain, settings.samples, seed)
    for name, network in networks.items():
        rows += [{"model": name} | row for row in network_rows(network, chain, settings, seed)]
    return [{"states": settings.states, "length": settings.length, "seed": seed} | row for row in rows]


def _student(settings: Chain, chain: MarkovChain, name: str, teacher: Network, seed: int) -> Network:
    if name == "keyed":
        return train_keyed(settings, chain, settings.keyed, teacher, seed)
    how = rectification(settings, name)
    return train_student(settings, chain, name, how, teacher, couplings(teacher, chain, how.pairs, MODELS[name][2], seed), seed)


def data_rows(chain: MarkovChain, samples: int, seed: int) -> list[dict]:
    """The metrics of sequences of the chain itself, and the two that are known exactly; no steps."""
    exact = {"entropy_nats": chain.entropy, "entropy_rate_nats": chain.entropy_rate}
    metrics = chain_metrics(chain.batch(root_seed(seed, "data"), 0, samples), chain) | {name: (v, v, v) for name, v in exact.items()}
    return [{"model": "data", "steps": None} | row for row in _rows(metrics)]


def network_rows(network: Network | BestMdm, chain: MarkovChain, settings: Chain, seed: int) -> list[dict]:
    """The metrics of samples at each step count, drawn with the same random numbers by every model."""
    rows = []
    for steps in settings.steps:
        x = sample(network, row_seeds(root_seed(seed, "samples"), 0, settings.samples), steps).tokens
        rows += [{"steps": steps} | row for row in _rows(chain_metrics(x, chain))]
    return rows


def _rows(metrics: dict[str, Triple]) -> list[dict]:
    return [{"metric": name, "value": value, "low": low, "high": high} for name, (value, low, high) in metrics.items()]

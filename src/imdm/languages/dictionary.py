"""The dictionary task: words drawn at random, between {00, 11} and text, where every probability is exact."""

from __future__ import annotations

import torch

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.factorization.exact import SubsetEntropies
from imdm.languages.balance import balanced
from imdm.languages.measure import Triple, coverage, factorization_errors, kl_bias, output_probabilities, validity, word_probabilities
from imdm.languages.task import rectification, train_keyed, train_student, train_teacher
from imdm.languages.words import Words, draw_words
from imdm.network.network import Network
from imdm.params import Dictionary, DictionaryCell
from imdm.sampling.sampler import sample

COLUMNS = ("words", "length", "letters", "varied", "hidden_size", "pairs", "noise_dim", "model", "seed", "steps")
COLUMNS += ("metric", "value", "low", "high")


def cell_rows(settings: Dictionary, cell: DictionaryCell, seed: int) -> list[dict]:
    """All rows of one cell and seed: the data's own errors, the teacher, and the students of `cell.models`."""
    torch.set_num_threads(1)  # cells run side by side
    settings = settings.of(cell)
    words = draw_words(cell.words, cell.length, settings.letters, seed)
    about = {"words": cell.words, "length": cell.length, "letters": settings.letters, "varied": cell.varied, "seed": seed}
    about |= {"hidden_size": settings.hidden_size}
    none = {"pairs": None, "noise_dim": None}
    teacher = train_teacher(settings, words, seed)
    rows = [about | none | {"model": "data"} | row for row in data_rows(words, settings.steps)]
    rows += [about | none | {"model": "teacher"} | row for row in network_rows(teacher, words, settings, seed)]
    for name in cell.models:
        if name == "keyed":
            of_model = network_rows(train_keyed(settings, words, settings.keyed, teacher, seed), words, settings, seed)
            rows += [about | none | {"model": name} | row for row in of_model]
            continue
        how = rectification(settings, name)
        network = train_student(settings, words, name, how, teacher, balanced(teacher, words, name, how, seed), seed)
        of_model = network_rows(network, words, settings, seed)
        rows += [about | {"model": name, "pairs": how.pairs, "noise_dim": how.noise_dim} | row for row in of_model]
    return rows


def data_rows(words: Words, steps: list[int]) -> list[dict]:
    """Total correlation and the bound of Theorem 4.1, summed over the transitions of each step count: what no MDM goes below."""
    entropies = SubsetEntropies(words.table.numpy())
    rows = []
    for n in steps:
        exact = {"total_correlation_nats": entropies.total_correlation(n), "theorem_bound_nats": entropies.theorem_bound(n)}
        rows += [{"steps": n, "metric": name, "value": value, "low": value, "high": value} for name, value in exact.items()]
    return rows


def network_rows(network: Network, words: Words, settings: Dictionary, seed: int) -> list[dict]:
    """Validity and coverage of samples at each step count, and both errors of one step, but of a keyed student: given its
    noise, a word has no density."""
    metrics: dict[tuple[int, str], Triple] = {}
    for n in settings.steps:
        x = sample(network, row_seeds(root_seed(seed, "samples"), 0, settings.samples), n).tokens
        metrics |= {(n, "validity_pct"): validity(x, words), (n, "coverage_pct"): coverage(x, words)}
    if network.config.draws == "independent":
        metrics |= error_metrics(network, words, settings, seed)
    return [{"steps": n, "metric": name, "value": v, "low": low, "high": high} for (n, name), (v, low, high) in metrics.items()]


def error_metrics(network: Network, words: Words, settings: Dictionary, seed: int) -> dict[tuple[int, str], Triple]:
    """Both errors of one step, and how much too high the second is."""
    valid = word_probabilities(output_probabilities(network, words, settings.noise_draws, seed), words)
    bias = kl_bias(valid)
    return {(1, name): triple for name, triple in factorization_errors(valid).items()} | {(1, "kl_bias_nats"): (bias, bias, bias)}

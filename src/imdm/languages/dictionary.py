"""The dictionary task: words drawn at random, between {00, 11} and text, where every probability is exact."""

from __future__ import annotations

import torch

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.factorization.exact import SubsetEntropies
from imdm.languages import measure
from imdm.languages.students import RECTIFIED, rectification, train_student, train_teacher
from imdm.languages.words import Words, draw_words
from imdm.network.network import Network
from imdm.params import Dictionary, DictionaryCell
from imdm.sampling.sampler import sample

COLUMNS = ("words", "length", "letters", "varied", "hidden_size", "pairs", "noise_dim", "model", "seed", "steps")
COLUMNS += ("metric", "value", "low", "high")


def cell_records(task: Dictionary, cell: DictionaryCell, seed: int) -> list[dict]:
    """All records of one cell and seed: the data's own errors, the teacher, and the students of `cell.models`."""
    torch.set_num_threads(1)  # cells run side by side
    task = task.of(cell)
    words = draw_words(cell.words, cell.length, task.letters, seed)
    teacher = train_teacher(task, words, seed)
    made = data_records(words, task.steps) + model_records(teacher, words, task, seed, model="teacher")
    for name in cell.models:
        about = {"model": name}
        if name in RECTIFIED:
            about |= rectification(task, name).model_dump(include={"pairs", "noise_dim"})
        made += model_records(train_student(task, words, name, teacher, seed), words, task, seed, **about)
    common = {"words": cell.words, "length": cell.length, "letters": task.letters, "varied": cell.varied, "seed": seed}
    return [common | {"hidden_size": task.hidden_size} | record for record in made]


def data_records(words: Words, steps: list[int]) -> list[dict]:
    """Total correlation and the bound of Theorem 4.1, summed over the transitions of each step count: what no MDM goes below."""
    entropies, made = SubsetEntropies(words.table.numpy()), []
    for n in steps:
        figures = {"total_correlation_nats": entropies.total_correlation(n), "theorem_bound_nats": entropies.theorem_bound(n)}
        made += measure.records({name: measure.exactly(value) for name, value in figures.items()}, model="data", steps=n)
    return made


def model_records(network: Network, words: Words, task: Dictionary, seed: int, **about: object) -> list[dict]:
    """Validity and coverage of samples at each step count, and both errors of one step with how much too high the second is.

    A keyed student has no errors: given its noise, a word has no density.
    """
    made = []
    for n in task.steps:
        x = sample(network, row_seeds(root_seed(seed, "samples"), 0, task.samples), n).tokens
        made += measure.records({"validity_pct": measure.validity(x, words), "coverage_pct": measure.coverage(x, words)}, steps=n, **about)
    if network.config.draws == "independent":
        valid = measure.word_probabilities(measure.output_probabilities(network, words, task.noise_draws, seed), words)
        bias = {"kl_bias_nats": measure.exactly(measure.kl_bias(valid))}
        made += measure.records(measure.factorization_errors(valid) | bias, steps=1, **about)
    return made

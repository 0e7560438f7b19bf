"""The Markov chain task: how near few-step students come to a distribution that is known exactly."""

from __future__ import annotations

import torch

from imdm.diffusion.counter import root_seed, row_seeds
from imdm.languages.markov import BestMdm, chain_figures, draw_chain
from imdm.languages.measure import exactly, records
from imdm.languages.students import train_student, train_teacher
from imdm.params import Chain
from imdm.sampling.sampler import sample

COLUMNS = ("states", "length", "model", "seed", "steps", "metric", "value", "low", "high")


def seed_records(task: Chain, seed: int) -> list[dict]:
    """All records of one seed: the chain's own samples, the best MDM, the teacher, and its students `task.models`.

    The data has no steps, and its entropies are known exactly. All models draw with the same random numbers.
    """
    torch.set_num_threads(1)  # seeds run side by side
    chain = draw_chain(task.states, task.length, task.entropy_rate, seed)
    teacher = train_teacher(task, chain, seed)
    models = {"best-mdm": BestMdm(chain), "teacher": teacher}
    models |= {name: train_student(task, chain, name, teacher, seed) for name in task.models}
    entropies = {"entropy_nats": exactly(chain.entropy), "entropy_rate_nats": exactly(chain.entropy_rate)}
    x = chain.batch(root_seed(seed, "data"), 0, task.samples)
    made = records(chain_figures(x, chain) | entropies, model="data", steps=None)
    for name, network in models.items():
        for steps in task.steps:
            x = sample(network, row_seeds(root_seed(seed, "samples"), 0, task.samples), steps).tokens
            made += records(chain_figures(x, chain), model=name, steps=steps)
    return [{"states": task.states, "length": task.length, "seed": seed} | record for record in made]

"""Rows by index: prompts stay as they are, batches and interruptions change nothing, entropy is matched by temperature."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

import judges
from imdm.data.blocks import Dataset
from imdm.errors import UserError
from imdm.network.checkpoint import model_name
from imdm.params import Conditional
from imdm.sampling.generate import Sampler
from imdm.sampling.matching import match_entropy, read_target
from imdm.sampling.prompts import Prompts, choose_prompts, obstacle
from imdm.scoring.diversity import entropy
from networks import small_network

SETTINGS = Conditional(prompts=4, completions=3, prompt_tokens=2, scored_tokens=4)


def some_prompts() -> Prompts:
    """Four blocks of the small network's tokens, all of which differ."""
    blocks = np.array([[0, 1, 2, 4, 5], [1, 2, 4, 5, 6], [2, 4, 5, 6, 0], [4, 5, 6, 0, 1]])
    return Prompts(blocks, SETTINGS, seed=0)


@pytest.mark.parametrize("mask", ["single", "infinite"])
def test_completions_keep_their_prompts_and_see_nothing_else_of_their_blocks(mask):
    network, prompts = small_network(mask=mask), some_prompts()
    found = Sampler("teacher", network, 64, 5, prompts).draw(2, 5.0, 0, prompts.rows)
    tokens = found["tokens"].numpy()
    assert tokens.shape == (12, 5)
    assert np.array_equal(tokens[:, :2], np.repeat(prompts.blocks[:, :2], 3, axis=0))
    assert (found["unmasked_at"][:, :2] == -1).all() and (found["unmasked_at"][:, 2:] >= 0).all()
    assert len(np.unique(tokens, axis=0)) > len(prompts.blocks)  # completions of a prompt differ
    other = Prompts(np.where(np.arange(5) < 2, prompts.blocks, 6), SETTINGS, seed=0)
    assert torch.equal(Sampler("teacher", network, 64, 5, other).draw(2, 5.0, 0, 12)["tokens"], found["tokens"])


@pytest.mark.parametrize("changes", [{}, {"mask": "single"}, {"mask": "single", "latent_hidden": 8}])
@pytest.mark.parametrize(("prompts", "rows"), [(some_prompts(), 12), (None, 48)])
def test_rows_do_not_depend_on_their_batch(changes, prompts, rows):
    sampler = Sampler("teacher", small_network(**changes), 64, 5, prompts)
    whole = sampler.draw(4, 1.0, 0, rows)
    for size in (1, 4, 7):
        parts = [sampler.draw(4, 1.0, first, min(size, rows - first)) for first in range(0, rows, size)]
        for name, tensor in whole.items():
            assert torch.equal(torch.cat([part[name] for part in parts]), tensor)


def test_which_positions_a_step_unmasks_is_common_to_all_models():
    one, two = (Sampler("teacher", small_network(seed), 64, 5).draw(4, temperature, 0, 20) for seed, temperature in ((0, 1.0), (1, 0.7)))
    assert torch.equal(one["unmasked_at"], two["unmasked_at"]) and not torch.equal(one["tokens"], two["tokens"])


def test_prompts_are_blocks_of_the_split_each_once(tmp_path):
    data = Dataset.open(judges.make_dataset(tmp_path))
    settings = Conditional(prompts=40, completions=2, prompt_tokens=5, scored_tokens=10)
    blocks = data.split("valid")
    everything, other = choose_prompts(data, settings, 0), choose_prompts(data, settings, 1)
    assert sorted(everything.blocks.tolist()) == sorted(other.blocks.tolist()) == sorted(blocks.tolist())
    assert everything.blocks.tolist() != other.blocks.tolist() and everything.rows == 80
    fewer = choose_prompts(data, settings.model_copy(update={"prompts": 7}), 0)
    assert np.array_equal(fewer.blocks, everything.blocks[:7])
    assert fewer.about() == settings.model_dump() | {"prompts": 7, "seed": 0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": 41}, "conditional.prompts is 41, but .* has 40 valid blocks"),
        ({"scored_tokens": 13}, "at most the 12 tokens of a block"),
        ({"prompt_tokens": 10}, "must be more than conditional.prompt_tokens"),
    ],
)
def test_prompts_that_a_corpus_does_not_have(tmp_path, changes, message):
    data = Dataset.open(judges.make_dataset(tmp_path))
    settings = Conditional(prompts=40, prompt_tokens=5, scored_tokens=10)
    assert obstacle(data, settings) is None
    with pytest.raises(UserError, match=message):
        choose_prompts(data, settings.model_copy(update=changes), 0)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("results/a/models/imdm/sdtt3-redi/model.safetensors", "imdm/sdtt3-redi"),
        ("results/a/models/public/sdtt7/model.safetensors", "public/sdtt7"),
        ("results/a/models/teacher/model.safetensors", "teacher"),
        ("results/models/models/teacher/model.safetensors", "teacher"),
        ("downloads/sdtt7/model.safetensors", "sdtt7"),
    ],
)
def test_model_names(path, name):
    assert model_name(path) == name


# Entropy matching


def softmax_entropy(temperature: float) -> float:
    """Entropy of the categorical distribution with logits 0, 1, 2, 3 at a temperature; it grows with the temperature."""
    return float(stats.entropy(np.exp(np.arange(4) / temperature)))


@pytest.mark.parametrize("wanted", [0.6, 0.9, 1.0, 1.7])
def test_the_temperature_of_a_given_entropy_is_found(wanted):
    match = match_entropy(softmax_entropy, softmax_entropy(wanted), 0.5, 2.0, 1e-3)
    assert match.bound is None and abs(match.reached - match.target) <= 1e-3
    assert match.temperature == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize(("target", "bound", "temperature"), [(0.1, "low", 0.5), (math.log(4), "high", 2.0)])
def test_an_entropy_out_of_reach_ends_at_the_nearer_bound(target, bound, temperature):
    match = match_entropy(softmax_entropy, target, 0.5, 2.0, 1e-3)
    assert (match.bound, match.temperature, match.reached) == (bound, temperature, softmax_entropy(temperature))


def test_a_search_ends_where_entropy_jumps_over_the_target():
    tried = []

    def jump(temperature: float) -> float:
        tried.append(temperature)
        return float(temperature > 1.1)

    match = match_entropy(jump, 0.4, 0.5, 2.0, 1e-3)
    assert match.reached == 0.0 and match.temperature == pytest.approx(1.1, abs=1e-3) and len(tried) < 20


def test_a_network_is_matched_to_its_own_entropy_at_another_temperature():
    sampler = Sampler("teacher", small_network(mask="single", seq_len=24), 64, 5)

    def entropy_at(temperature: float) -> float:
        return float(entropy(sampler.draw(2, temperature, 0, 64)["tokens"].numpy()).mean())

    curve = [entropy_at(temperature) for temperature in (0.5, 0.8, 1.25, 2.0)]
    assert curve == sorted(curve) and curve[-1] - curve[0] > 0.2
    match = match_entropy(entropy_at, entropy_at(0.8), 0.5, 2.0, 0.002)
    assert match.bound is None and match.temperature == pytest.approx(0.8, rel=0.05)


def test_a_target_is_the_scores_of_unconditional_samples(tmp_path):
    path = tmp_path / "scores.json"
    good = {"task": "unconditional", "model": "mdlm/sdtt3", "precision": "float32", "temperature": {}, "conditional": None, "rows": []}
    good |= {"judge": {"name": "j", "precision": "float32", "held_out_perplexity": 9.0}}
    good |= {"metrics": {"gen_ppl": {}, "entropy": {"2": 5.5, "8": 5.2}}}
    path.write_text(json.dumps(good))
    assert read_target(path) == ("mdlm/sdtt3", {2: 5.5, 8: 5.2})
    path.write_text(json.dumps(good | {"task": "conditional"}))
    with pytest.raises(UserError, match="completions of prompts"):
        read_target(path)
    path.write_text("{}")
    with pytest.raises(UserError, match="not a scores.json"):
        read_target(path)

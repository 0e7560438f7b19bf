"""Di4C: its loss against a slow transcription and known cases, its training, and its stage."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from corpora import random_corpus
from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import Noised
from imdm.diffusion.states import is_masked, mask_where
from imdm.distill.di4c import (
    Di4cTraining,
    after_jump,
    completions,
    components,
    correlation,
    di4c_loss,
    draw_time,
    jump,
    jump_length,
    latents,
    log_mean,
    mixture_student,
)
from imdm.network.checkpoint import load_network, save_network
from imdm.params import Di4c, load_params
from imdm.sampling.sampler import sample
from imdm.synthetic import train, train_teacher
from networks import small_network
from script import MICRO, run

SETTINGS = Di4c(steps=4, batch_size=4, latents=3, time_steps=8, small_time=0.3)
VOCAB, LENGTH = 7, 5


def mdm(seed=0, **changes):
    return small_network(seed, mask="single", **changes).double()


def noised(t, rows=4, share=0.6):
    generator = torch.Generator().manual_seed(1)
    x = torch.tensor([0, 1, 2, 4, 5, 6])[torch.randint(6, (rows, LENGTH), generator=generator)]
    mask = torch.rand(rows, LENGTH, generator=generator) < share
    z = mask_where(x, mask, row_seeds(2, 0, rows), VOCAB)
    return Noised(z, x, mask.flatten().nonzero().squeeze(1), torch.full((rows,), t, dtype=torch.float64)), row_seeds(3, 0, rows)


def dense(network, z, latent):
    """p(x_d) of every position, the visible ones included, one sequence at a time: [L][V] probabilities."""
    logits = network.logits(network.hidden(z[None], latent=None if latent is None else latent[None]))[0]
    out = []
    for position, state in enumerate(z.tolist()):
        if state < VOCAB:
            out.append(torch.eye(VOCAB, dtype=torch.float64)[state])
        else:
            weights = logits[position].exp() * (torch.arange(VOCAB) != 3)
            out.append(weights / weights.sum())
    return torch.stack(out)


def kl(p, q):
    """sum_d KL(p_d || q_d) with 0 log 0 = 0."""
    return sum(a * (a / b).log() for row, other in zip(p, q) for a, b in zip(row, other) if a > 0)


def slow_loss(student, teacher, batch, seeds, settings):
    """The published loss, read off literally: one sequence and one latent at a time, in probabilities."""
    t, total, count = batch.t[0].item(), 0.0, settings.latents
    mixed = [latents(network, seeds, call, count) for network, call in ((teacher, 0), (student, 1), (student, 2))]
    with torch.no_grad():
        z_s = jump(components(teacher, batch.z, batch.masked, mixed[0]), batch, seeds, min(1 / settings.time_steps, t / 2), count)
        drawn = completions(after_jump(student, z_s, batch, seeds), batch, seeds)
        x_s = batch.x.repeat(count, 1, 1)
        x_s.view(count, -1)[:, batch.masked] = drawn
    for b in range(len(batch.z)):
        p = [dense(student, batch.z[b], mixed[1][m, b]) for m in range(count)]
        mean = sum(p) / count
        with torch.no_grad():
            own = [dense(teacher, batch.z[b], None if mixed[0] is None else mixed[0][m, b]) for m in range(count)]
            target = sum(own) / count
            later = sum(dense(student, z_s[m, b], mixed[2][m, b]) for m in range(count)) / count

        def joint(x, p=p, mean=mean):
            """log mean_m prod_d p_m(x_d) - sum_d log mean_m p_m(x_d)"""
            products = [math.prod(row[token] for row, token in zip(component, x.tolist())) for component in p]
            return (sum(products) / count).log() - sum(row[token].log() for row, token in zip(mean, x.tolist()))

        total = total - settings.correlation_weight / (1 + math.exp(-20 * (t - 0.5))) * joint(batch.x[b]) + kl(target, mean)
        if t < settings.small_time:
            total = total + sum(kl(target, component) for component in p) / count
        else:
            total = total + kl(later, mean) - sum(joint(x_s[i, b]) for i in range(count)) / count
    return total / len(batch.z)


@pytest.mark.parametrize("t", [0.125, 0.25, 0.625, 1.0])
@pytest.mark.parametrize("teacher_hidden", [None, 8])
def test_loss_and_gradients_are_those_of_a_slow_transcription(t, teacher_hidden):
    teacher, student = mdm(1, latent_hidden=teacher_hidden), mdm(2, latent_hidden=6)
    batch, seeds = noised(t)
    settings = SETTINGS.model_copy(update={"correlation_weight": 0.7, "time_steps": 2})  # long steps, so that some tokens appear
    fast, slow = (loss(student, teacher, batch, seeds, settings) for loss in (di4c_loss, slow_loss))
    assert fast.item() == pytest.approx(slow.item(), abs=1e-10)
    gradients = [torch.autograd.grad(loss, list(student.parameters())) for loss in (fast, slow)]
    assert max(g.abs().max() for g in gradients[0]) > 1e-3
    assert all(torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(*gradients))
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_correlation_of_known_mixtures():
    """Two components, nearly sure of 00 and of 11: C is ln 2 for either, and far below 0 for 01; rows are apart."""
    sure = torch.tensor([[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]], dtype=torch.float64).log()
    log_p = sure[:, None].expand(2, 4, 2)  # four positions: two sequences of two
    x = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 0]])
    found = correlation(log_p, log_mean(log_p), x, torch.tensor([0, 0, 1, 1]), 2)
    expected = [[math.log(2), math.log(2)], [math.log(1e-9) + 2 * math.log(2), math.log(2)]]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=1e-6)
    one = torch.randn(1, 4, 9).log_softmax(-1)
    for alike in (one, one.expand(3, 4, 9)):
        assert correlation(alike, log_mean(alike), torch.randint(9, (5, 4)), torch.tensor([0, 0, 1, 1]), 2).abs().max() < 1e-6


def test_one_latent_leaves_plain_divergences():
    """M = 1 at small t: no correlation, and data and distillation are the same KL(teacher || student)."""
    teacher, student = mdm(1), mdm(2, latent_hidden=6)
    batch, seeds = noised(0.125)
    settings = SETTINGS.model_copy(update={"latents": 1, "correlation_weight": 5.0})
    log_q = torch.log_softmax(student(batch.z, batch.masked, latents(student, seeds, 1, 1)[0]), -1)
    log_p = torch.log_softmax(teacher(batch.z, batch.masked), -1)
    expected = 2 * torch.nn.functional.kl_div(log_q, log_p, reduction="sum", log_target=True) / 4
    assert di4c_loss(student, teacher, batch, seeds, settings).item() == pytest.approx(expected.item(), abs=1e-10)


@pytest.mark.parametrize("t", [0.125, 0.625])
def test_nothing_masked_is_no_loss(t):
    student = mdm(2, latent_hidden=6)
    batch, seeds = noised(t, share=0.0)
    loss = di4c_loss(student, mdm(1), batch, seeds, SETTINGS)
    loss.backward()
    assert loss.item() == 0 and all(p.grad is None or not p.grad.any() for p in student.parameters())


def test_only_the_student_at_t_is_trained():
    teacher, student, calls = mdm(1, latent_hidden=8), mdm(2, latent_hidden=6), []
    for name, network in (("teacher", teacher), ("student", student)):
        network.register_forward_hook(lambda who, _, out, name=name: calls.append((name, who.training, out.requires_grad)))
    di4c_loss(student, teacher, *noised(0.625), SETTINGS)
    assert calls == [("teacher", False, False), ("student", False, False), ("student", True, True)]


def test_times():
    """On the grid of T, below small_time in its share of steps, and half a step's length at the last point."""
    settings = Di4c(steps=1, batch_size=2)
    times = np.array([draw_time(7, step, settings) for step in range(5000)])
    assert np.allclose(times * 1024, np.round(times * 1024)) and times.min() == 1 / 1024 and times.max() == 1
    small = times <= math.ceil(0.02 * 1024) / 1024
    assert stats.binomtest(int(small.sum()), 5000, 0.3 + 0.7 * (21 - 20.48) / (1024 - 20.48)).pvalue > 1e-3
    assert stats.kstest((times[~small] * 1024 - 21) / 1003, "uniform").pvalue > 1e-3
    assert jump_length(1.0, 1024) == jump_length(2 / 1024, 1024) == 1 / 1024 and jump_length(1 / 1024, 1024) == 0.5 / 1024


def test_the_teachers_steps_follow_its_components():
    """Chance dt / t of each masked position, tokens from the position's distribution under the jump's own latent."""
    teacher = mdm(1, latent_hidden=8)
    batch, seeds = noised(0.5, rows=1, share=1.0)
    count = 20_000
    mixed = torch.linspace(0.1, 0.9, 2, dtype=torch.float64)[:, None]
    pair = components(teacher, batch.z, batch.masked, mixed).detach()
    log_p = pair[torch.arange(count) % 2]
    z = jump(log_p, batch, seeds, 0.2, count)[:, 0]
    appeared = ~is_masked(z, VOCAB)
    assert stats.binomtest(int(appeared.sum()), count * LENGTH, 0.2 / 0.5).pvalue > 1e-3
    assert torch.equal(z[~appeared], batch.z.expand(count, -1)[~appeared])  # keys stay
    for which in range(2):
        for position in range(2):
            rows = appeared[which::2, position]
            seen = z[which::2, position][rows].bincount(minlength=VOCAB)
            assert seen[3] == 0
            expected = pair[which, position].exp() * rows.sum()
            tokens = torch.arange(VOCAB) != 3
            assert stats.chisquare(seen[tokens], expected[tokens]).pvalue > 1e-3


def test_what_appeared_is_certain_in_the_targets():
    student = mdm(2, latent_hidden=6)
    batch, seeds = noised(0.5)
    z = jump(components(mdm(1), batch.z, batch.masked, None), batch, seeds, 0.25, 3)
    log_p = after_jump(student, z, batch, seeds)
    token = z.flatten(1)[:, batch.masked]
    seen = ~is_masked(token, VOCAB)
    assert 0 < seen.sum() < seen.numel()
    assert torch.equal(log_p[seen].exp(), torch.nn.functional.one_hot(token[seen], VOCAB).double())
    assert torch.equal(completions(log_p, batch, seeds)[seen], token[seen])


def test_first_weights_of_a_student():
    teacher = small_network(1, mask="single")
    student = mixture_student(teacher, 8, seed=0)
    assert all(torch.equal(student.state_dict()[name], value) for name, value in teacher.state_dict().items())
    assert list(student.state_dict())[-4:] == [f"latent_projection.{part}" for part in ("0.weight", "0.bias", "2.weight", "2.bias")]
    first, last = student.latent_projection[0].weight, student.latent_projection[2].weight
    assert first.shape == (8, 128) and last.shape == (16, 8) and first.std() > 0
    assert torch.equal(first, mixture_student(teacher, 8, seed=0).latent_projection[0].weight)
    assert not torch.equal(first, mixture_student(teacher, 8, seed=1).latent_projection[0].weight)
    following = mixture_student(student.requires_grad_(False), 99, seed=0)
    assert following.config == student.config and all(p.requires_grad for p in following.parameters())
    assert all(torch.equal(following.state_dict()[name], value) for name, value in student.state_dict().items())


def test_a_latent_must_be_given_where_there_is_one_and_only_there():
    z, positions = torch.full((1, LENGTH), 9), torch.arange(LENGTH)
    with pytest.raises(ValueError, match="needs a latent"):
        small_network(latent_hidden=4)(z, positions)
    with pytest.raises(ValueError, match="has no latent"):
        small_network()(z, positions, torch.tensor([0.5]))


def test_a_student_of_two_outcomes_samples_them_in_one_step():
    """{00, 11}: one step of any MDM errs by KL(data || product) = ln 2 and is valid half of the time."""
    synthetic = load_params(MICRO).synthetic
    teacher = train_teacher(synthetic.model_copy(update={"hidden_size": 32, "blocks": 2, "teacher_steps": 150}), seed=0)
    blocks = (np.arange(64)[:, None] % 2 * np.ones((1, 2))).astype(np.uint16)
    settings = Di4c(steps=200, batch_size=16, latents=8, latent_hidden=32, time_steps=4, small_time=0.3, correlation_weight=10.0)
    student = mixture_student(teacher, settings.latent_hidden, seed=0)
    train(student, 3e-3, settings.steps, Di4cTraining(student, teacher, settings, 1, 0, blocks).loss)

    draws = (torch.arange(4096) + 0.5) / 4096
    with torch.inference_mode():
        p = student(torch.full((4096, 2), 3), torch.arange(8192), draws).double().softmax(-1).view(4096, 2, 3)
    outcomes = (p[:, 0] * p[:, 1]).mean(0)[:2]
    assert (0.5 * (0.5 / outcomes).log()).sum() < 0.5 * math.log(2)
    tokens = sample(student, row_seeds(0, 0, 2000), steps=1).tokens
    assert (tokens[:, 0] == tokens[:, 1]).double().mean() > 0.9
    assert {0, 1} == set(tokens.flatten().tolist())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A packed corpus of random tokens and an MDM of its vocabulary."""
    folder = tmp_path_factory.mktemp("inputs")
    data = random_corpus(folder, VOCAB, 3, LENGTH)
    save_network(folder / "mdm.safetensors", small_network(mask="single", dropout=0.1, tokenizer_sha256=data.tokenizer_sha256))
    return folder


def stage(inputs, out, number=1, teacher="mdm.safetensors", sets=()):
    """Run the stage."""
    sets = ["di4c.steps=12", "di4c.rounds=2", *sets]
    return run("di4c", "--data", inputs / "dataset.json", "--teacher", inputs / teacher, "--round", number, "--out", out, sets=sets)


def test_the_next_round_goes_on_from_the_online_weights(inputs, tmp_path):
    assert stage(inputs, tmp_path / "first").returncode == 0
    meta = json.loads((tmp_path / "first/meta.json").read_text())
    assert set(meta["outputs"]) == {"model.safetensors", "train_log.csv"}
    assert meta["parameters"]["di4c"]["steps"] == 12 and meta["parameters"]["seeds.train"] == 0
    before = load_network(tmp_path / "first" / "model.safetensors", "online")
    start = load_network(inputs / "mdm.safetensors")
    assert before.config.latent_hidden == 8 and not torch.equal(start.vocab_embed.embedding, before.vocab_embed.embedding)
    sets = ["di4c.steps=1", "di4c.lr=1e-9"]
    assert stage(inputs, tmp_path / "second", 2, tmp_path / "first" / "model.safetensors", sets).returncode == 0
    after = load_network(tmp_path / "second" / "model.safetensors", "online")
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(before.parameters(), after.parameters()))


@pytest.mark.parametrize("weights", ["online", "ema"])
def test_a_student_is_sampled_with_the_weights_that_are_asked_for(inputs, tmp_path, weights):
    sets = [] if weights == "online" else ["di4c.weights=ema"]
    assert stage(inputs, tmp_path / "out", sets=sets).returncode == 0
    online, sampled = (load_network(tmp_path / "out" / "model.safetensors", kind).state_dict() for kind in ("online", "ema"))
    assert all(torch.equal(online[name], sampled[name]) for name in online) == (weights == "online")


@pytest.mark.parametrize(
    ("number", "words"), [(2, "does not fit --round 2; give the Di4C student of round 1"), (3, "--round 3 must be between 1 and 2")]
)
def test_rounds_and_teachers_that_do_not_fit_are_refused(inputs, tmp_path, number, words):
    done = stage(inputs, tmp_path / "out", number)
    assert done.returncode == 2 and words in done.stderr
    assert not list(tmp_path.iterdir())

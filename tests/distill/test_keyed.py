"""Keyed distillation: keys say what the teacher draws, the target is its own step, and a student that knows nothing is its teacher."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import Noised
from imdm.diffusion.states import initial_masks, key_of, mask_where
from imdm.distill.distillation import forward_kl
from imdm.distill.keyed import KeyedTraining, keyed_batch, keyed_loss, keyed_rows, keyed_student
from imdm.network.config import NetworkConfig
from imdm.network.network import Network
from imdm.params import Keyed
from imdm.sampling.categorical import draw_by_key
from imdm.sampling.plan import dilated_order
from imdm.sampling.sampler import sample

V, L, MASK = 7, 6, 6
ORDER = [0, 4, 2, 1, 5, 3]  # of six positions, dilated
IN_ORDER = "from_noise_in_order"


def network(**settings: object) -> Network:
    torch.manual_seed(0)
    config = {"hidden_size": 16, "blocks": 2, "heads": 2, "cond_dim": 8, "dropout": 0.0, "learned_positions": True} | settings
    found = Network(NetworkConfig(vocab_size=V, mask_id=MASK, seq_len=L, **config)).eval()
    torch.nn.init.normal_(found.output_layer.linear.weight, std=0.5)  # far from uniform
    for block in found.blocks:
        torch.nn.init.normal_(block.adaLN_modulation.bias, std=1.0)  # opens the gates: tokens depend on one another
    torch.nn.init.normal_(found.vocab_embed.embedding, std=1.0)
    return found


def signs(**settings: object) -> Network:
    return network(mask="infinite", noise_dist="rademacher", noise_dim=32, **settings)


def gumbels(**settings: object) -> Network:
    found = network(mask="gumbel", noise_dim=4, **settings)
    found.candidates.proposal.copy_(torch.tensor([0.4, 0.2, 0.2, 0.1, 0.06, 0.04, 0.0]))
    return found


KINDS = pytest.mark.parametrize("kind", [signs, gumbels])


def noised(count: int, t: float) -> Noised:
    """Blocks masked at one time, as the training makes them where no position is given."""
    seeds, times = row_seeds(3, 0, count), torch.full((count,), t, dtype=torch.float64)
    x = torch.randint(V - 1, (count, L), generator=torch.Generator().manual_seed(1))
    masked = (dilated_order(L) >= (1 - t) * L).expand(count, L)
    return Noised(mask_where(x, masked, seeds, V), x, masked.flatten().nonzero().squeeze(1), times)


@KINDS
@pytest.mark.parametrize("t, steps", [(1.0, 1), (1.0, 3), (1.0, 8), (0.75, 4), (0.5, 2)])
def test_a_perfect_students_text_is_its_teachers(kind, t, steps):
    """The sampler's own trajectory from z_t: drawing from each target, as a student's one step does, gives its tokens."""
    teacher, batch = kind(), noised(40, t)
    visible = ~torch.zeros_like(batch.z, dtype=torch.bool)
    visible.view(-1)[batch.masked] = False
    seeds = row_seeds(3, 0, 40)
    wanted = sample(teacher, seeds, steps, start=batch.t, visible=(visible, batch.x), draws=IN_ORDER).tokens
    keys = key_of(batch.z.flatten()[batch.masked], V)
    assert torch.equal(draw_by_key(teacher, keyed_rows(teacher, batch, steps), keys), wanted.flatten()[batch.masked])


def same_as_plain(student: Network, batch: Noised, target: torch.Tensor, loss: Callable[[], torch.Tensor]) -> float:
    """The mean forward KL from targets [n, V] by autograd, which a loss and its gradients have to equal."""
    plain = (target.exp() * (target - torch.log_softmax(student(batch.z, batch.masked), -1))).sum(-1).mean()
    wanted = torch.autograd.grad(plain, list(student.parameters()), allow_unused=True)
    ours = loss()
    assert ours.item() == pytest.approx(plain.item(), abs=1e-10)
    for gradient, other in zip(torch.autograd.grad(ours, list(student.parameters()), allow_unused=True), wanted, strict=True):
        assert (gradient is None) == (other is None)
        if other is not None:
            torch.testing.assert_close(gradient, other, atol=1e-10, rtol=1e-8)
    return plain.item()


def test_the_loss_is_the_mean_divergence_and_its_gradient_autograds():
    teacher, batch = signs().double(), noised(12, 0.9)
    student = keyed_student(teacher).double()
    for parameter in student.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    target = torch.log_softmax(teacher.subs(keyed_rows(teacher, batch, 3)), -1)
    logits = student(batch.z, batch.masked)
    plain = same_as_plain(student, batch, target, lambda: keyed_loss(student, teacher, batch, 3, "forward_kl"))
    mean = torch.tensor(1 / len(batch.masked), dtype=torch.float64)
    assert forward_kl(logits.detach(), target, mean)[0].item() == pytest.approx(plain, abs=1e-10)


@KINDS
def test_a_student_that_has_learnt_the_trajectory_is_consistent(kind):
    """The teacher's own rows stand for it: one step on, the rest of the trajectory is the rest of its targets."""
    teacher, batch, steps = kind(), noised(40, 1.0), 3
    whole = keyed_rows(teacher, batch, steps)
    keys = key_of(batch.z.flatten()[batch.masked], V)
    now = torch.isin(batch.masked % L, torch.tensor(ORDER[:2]))
    behind = batch.z.clone()
    behind.view(-1)[batch.masked[now]] = draw_by_key(teacher, whole[now], keys[now])
    rest = Noised(behind, batch.x, batch.masked[~now], torch.full((40,), 1 - 1 / steps, dtype=torch.float64))
    assert torch.equal(keyed_rows(teacher, rest, steps - 1), whole[~now])


def test_one_teacher_step_leaves_nothing_to_learn():
    teacher, batch = signs(), noised(12, 1.0)
    assert keyed_loss(keyed_student(teacher), teacher, batch, 1, "forward_kl").item() == pytest.approx(0, abs=1e-6)
    assert keyed_loss(keyed_student(teacher), teacher, batch, 4, "forward_kl").item() > 1e-3


@KINDS
def test_a_student_that_ignores_its_noise_samples_from_its_own_distribution(kind):
    """Two steps on short sequences: the same text, by what the keys carry, as its teacher by draws of its own."""
    teacher, student = kind(), keyed_student(kind())
    assert student.config.draws == IN_ORDER and teacher.config.draws == "independent"
    counts = []
    for model, seed in ((teacher, 1), (student, 2)):
        tokens = sample(model, row_seeds(seed, 0, 30_000), 2, unmasking="dilated").tokens
        counts.append(torch.bincount(tokens[:, 0] * V * V + tokens[:, 3] * V + tokens[:, 5], minlength=V**3).numpy())
    kept = counts[0] + counts[1] > 40
    assert kept.sum() > 10 and chi2_contingency([counts[0][kept], counts[1][kept]]).pvalue > 1e-4


def test_a_temperature_and_given_text_are_the_samplers_own():
    student, seeds = keyed_student(signs()), row_seeds(9, 0, 8)
    given_at = torch.zeros(8, L, dtype=torch.bool)
    given_at[:, :2] = True
    text = torch.arange(8 * L).view(8, L) % (V - 1)
    drawn = sample(student, seeds, 3, visible=(given_at, text), temperature=0.7)
    assert torch.equal(drawn.tokens[:, :2], text[:, :2]) and (drawn.tokens < V - 1).all() and drawn.calls.max() <= 3


@KINDS
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_a_key_draws_each_token_as_often_as_it_is_probable(kind, temperature):
    found, keys = kind(), key_of(initial_masks(row_seeds(4, 0, 40_000), 1, 0), 0).flatten()
    row = found.hidden(initial_masks(row_seeds(6, 0, 1), L, V))[0, :1].detach()
    drawn = torch.bincount(draw_by_key(found, row.expand(len(keys), -1), keys, temperature), minlength=V)
    p = torch.softmax(found.subs(row)[0].double() / temperature, -1).detach()
    assert drawn[MASK] == 0 and chisquare(drawn[:MASK].numpy(), len(keys) * p[:MASK].numpy()).pvalue > 1e-4


def test_candidates_are_those_of_the_training_text_for_student_and_teacher():
    teacher, blocks = gumbels(), np.array([[0, 1, 1, 2, 2, 2]] * 8, dtype=np.uint16)
    settings = Keyed(steps=3, batch_size=4, ema=0.5, teacher_steps=2)
    training = KeyedTraining(keyed_student(teacher), teacher, settings, 0, blocks)
    wanted = torch.tensor([9, 17, 25, 1, 1, 1, 0], dtype=torch.float64) / 54
    for found in (training.network, *training.frozen):
        torch.testing.assert_close(found.candidates.proposal, wanted)


def test_training_meets_the_states_of_the_sampler():
    """Of a batch the first rows are at the start, and every other row has some positions given."""
    x = torch.randint(V - 1, (400, L), generator=torch.Generator().manual_seed(1))
    batch = keyed_batch(x, 5, 3, 0, 400, 100, V)
    masked = (batch.z >= V).view(400, L)
    assert torch.equal(batch.masked, masked.flatten().nonzero().squeeze(1)) and torch.equal(batch.z[~masked], x[~masked])
    halves = [keyed_batch(x[part], 5, 3, part.start, 400, 100, V).z for part in (slice(0, 130), slice(130, 400))]
    assert torch.equal(torch.cat(halves), batch.z)
    plain, with_given = masked[::2][:, ORDER], masked[1::2]
    assert masked[:100:2].all() and (plain[:, :-1] <= plain[:, 1:]).all()  # what is masked comes behind what is not
    assert 0.4 < with_given[:50].double().mean() < 0.6 and len(with_given[:50].sum(1).unique()) > 4

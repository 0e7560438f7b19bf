"""What is compared computes the same: the predecessors' algorithm against ours, then the command line at a toy size."""

import json

import pytest
import torch
from scipy import stats

from benchmarks import inputs, ours, tables
from benchmarks.floor import OPTIMIZER, WEIGHT, floor_seconds, phases
from benchmarks.logits import VocabularyBytes, measure
from benchmarks.measure import ratios
from benchmarks.peers import Peers, PlainOptimizer, Trajectory, gumbel_max, nelbo, sdtt_loss
from benchmarks.scales import SCALES
from benchmarks.startup import stage_imports
from benchmarks.trace import Trace
from imdm.diffusion.counter import row_seeds
from imdm.diffusion.noise import noise
from imdm.diffusion.states import is_masked, key_of
from imdm.network.sizes import Sizes
from imdm.sampling.sampler import sample
from networks import small_network

TOY = SCALES["toy"]
TWO = dict(vocab_size=4, mask_id=3, seq_len=2, learned_positions=True)


@pytest.fixture
def float64():
    """Everything in float64, so that equal losses are equal to 1e-10."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def as_peers_see_it(z, config):
    """Tokens with the mask's id, and the noise of each mask state (zeros where there is a token)."""
    masked = is_masked(z, config.vocab_size)
    eps = noise(key_of(z, config.vocab_size), config.noise_dim, config.noise_dist, config.noise_scale)
    tokens = torch.where(masked, config.mask_id, z)
    return tokens, (masked[..., None] * eps).double() if config.mask == "infinite" else None


def loss_and_gradient(task):
    """Of our step; the network's gradient is left as it is."""
    loss = task.training.loss(task.step)
    loss.backward()
    gradient = {name: parameter.grad.clone() for name, parameter in task.network.named_parameters() if parameter.grad is not None}
    task.network.zero_grad()
    return loss.item(), gradient


def assert_same(task, theirs, loss, gradient):
    theirs.backward()
    assert theirs.item() == pytest.approx(loss, rel=1e-10, abs=1e-10)
    assert any(value.abs().max() > 0 for name, value in gradient.items() if "imdm_mlp" in name or "linear" in name)
    found = dict(task.network.named_parameters())
    for name, value in gradient.items():
        torch.testing.assert_close(found[name].grad, value, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "make", [lambda: ours.pretraining(TOY, "single"), lambda: ours.pretraining(TOY, "infinite"), lambda: ours.redi(TOY)]
)
def test_losses_and_gradients_of_pretraining_and_redi_are_equal(make, float64):
    task = make()
    loss, gradient = loss_and_gradient(task)
    tokens, eps = as_peers_see_it(task.batch.z, task.network.config)
    assert_same(task, nelbo(Peers(task.network), task.batch.x, tokens, task.batch.t, eps), loss, gradient)


def test_loss_and_gradient_of_sdtt_are_equal_given_the_first_teacher_step(float64):
    task, seen = ours.sdtt(TOY), []
    hook = task.teacher.vocab_embed.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    loss, gradient = loss_and_gradient(task)
    hook.remove()
    before, after = (as_peers_see_it(z, task.network.config) for z in (seen[0], seen[-1]))
    assert 0 < (before[0] != after[0]).sum() < (before[0] == task.network.config.mask_id).sum()
    student, teacher = Peers(task.network), Peers(task.teacher)
    assert_same(task, sdtt_loss(student, teacher, before[0], task.batch.t, task.training.dt, before[1], after[0]), loss, gradient)


def test_logits_take_at_most_three_fifths_of_the_predecessors_memory():
    """Where all of ours are one chunk; with more than a chunk the share falls."""
    for row in measure(TOY):
        assert 0 < row["share"] <= 0.6, row


def test_bytes_of_logits_are_those_alive_at_once():
    network = small_network()
    head, vocab = network.output_layer.linear, network.config.vocab_size
    with VocabularyBytes([network]) as count:
        for _ in range(3):
            logits = head(torch.zeros(10, head.in_features))
            logits.add_(1)
        both = logits.double()
        del logits, both
        head(torch.zeros(5, head.in_features))
    assert count.peak == 10 * vocab * (4 + 8) and count.now == 0


def test_the_first_teacher_step_unmasks_as_often_as_it_should(monkeypatch):
    network = small_network(mask="single")
    tokens, t = torch.full((4000, 5), 3), torch.full((4000,), 0.5)
    seen = []
    peers = Peers(network)
    monkeypatch.setattr(peers, "log_probabilities", lambda z, noise, call=peers.log_probabilities: seen.append(z) or call(z, noise))
    torch.manual_seed(0)
    sdtt_loss(peers, peers, tokens, t, 0.125, None)
    unmasked = int((seen[1] != 3).sum())
    assert stats.binomtest(unmasked, tokens.numel(), 0.25).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gumbel_max_draws_the_categorical(dtype):
    weights = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    torch.manual_seed(0)
    counts = gumbel_max(weights.to(dtype).expand(100_000, 4)).bincount(minlength=4)
    assert stats.chisquare(counts, 100_000 * weights).pvalue > 1e-3


@pytest.mark.parametrize(("mask", "cached"), [("single", False), ("single", True), ("infinite", False)])
@pytest.mark.parametrize("steps", [1, 3])
def test_samples_have_the_same_distribution(mask, cached, steps):
    """Both positions together, so that what a step sees of the one before it shows; two-sample chi-squared."""
    network = small_network(mask=mask, **TWO)
    network.output_layer.linear.weight.data *= 0.3  # no cell is empty
    drawn = sample(network, row_seeds(1, 0, 15_000), steps).tokens
    peers = Peers(network)
    torch.manual_seed(0)
    rows, batches = (2, 800) if cached else (15_000, 1)  # in a large batch the cache would never be used
    parts = [Trajectory(peers, torch.full((rows, 2), 3), torch.ones(rows), steps).run(cached) for _ in range(batches)]
    counts = [(x[:, 0] * 3 + x[:, 1]).bincount(minlength=9) for x in (drawn, torch.cat(parts))]
    assert stats.chi2_contingency(torch.stack(counts).numpy()).pvalue > 1e-3


def test_what_is_visible_stays_and_the_cache_saves_calls():
    network, calls = small_network(mask="single"), []
    peers = Peers(network)
    x = torch.randint(0, 3, (1, 5))
    x[0, 3:] = 3
    network.blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    done = Trajectory(peers, x, torch.tensor([0.4]), 50).run(cached=True)
    assert torch.equal(done[0, :3], x[0, :3]) and (done != 3).all()
    assert len(calls) <= 3


def test_optimizers_take_the_same_step():
    """Ours is fused, and its average moves all at once."""
    mine, other = ours.pretraining(TOY, "single"), ours.pretraining(TOY, "single")
    before = [parameter.detach().clone() for parameter in mine.network.parameters()]
    plain = PlainOptimizer(other.network, other.training.settings.lr, other.training.settings.ema)
    mine.side().run()
    plain.step(other.training.loss(other.step))
    pairs = list(zip(mine.network.parameters(), other.network.parameters()))
    for ours_after, theirs_after in pairs:
        torch.testing.assert_close(ours_after, theirs_after, rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(after, start) for (after, _), start in zip(pairs, before))


def test_the_floor_of_a_training_step_by_hand():
    task = ours.pretraining(TOY, "infinite")
    side, config = task.side(), task.network.config
    with Trace(task.network) as counts:
        side.run()
    masked = int(is_masked(task.batch.z, config.vocab_size).sum())
    assert (counts.calls, counts.tokens, counts.masked) == (1, 48, masked) and counts.body_seconds > 0
    body, head, embedding, optimizer = phases(side, [counts])
    d, length = 16, 12
    token = 2 * (24 * d * d + 4 * length * d)  # two blocks
    conditioning = 2 * (2 * (256 * 8 + 8 * 8) + 2 * 6 * d * 8 + 2 * d * 8)
    assert body[0] == 3 * (48 * token + conditioning)
    assert head == (3 * masked * 2 * d * 67, 3 * WEIGHT * d * 67)
    assert embedding[0] == 3 * masked * 2 * (6 * 64 + 64 * 16)
    assert optimizer == (0, OPTIMIZER * WEIGHT * Sizes(config).parameters)
    parameters = sum(parameter.numel() for parameter in task.network.parameters())
    assert sum(part[1] for part in (body, head, embedding)) == 3 * WEIGHT * (parameters - d * 67)  # the table is looked up
    assert floor_seconds([(10.0, 1.0), (0, 8.0)], 5.0, 4.0) == 2 + 2


def test_both_sides_begin_with_the_same_weights_and_masks():
    mine, other = ours.sdtt(TOY), ours.sdtt(TOY)
    assert torch.equal(mine.batch.z, other.batch.z) and mine.step == other.step
    assert all(torch.equal(a, b) for a, b in zip(mine.network.parameters(), other.network.parameters()))
    assert abs(len(mine.batch.masked) / mine.tokens - 0.5) < 0.1
    assert not torch.equal(mine.network.output_layer.linear.weight, mine.teacher.output_layer.linear.weight)
    blocks = inputs.blocks(TOY.lm1b, 500)
    assert (blocks != TOY.lm1b.mask_id).all() and blocks.max() == TOY.lm1b.vocab_size - 1


def test_imports_of_a_stage_are_its_own_and_those_of_run(tmp_path):
    script = tmp_path / "stage.py"
    script.write_text("import sys\nfrom a import b  # noqa\n\ndef run(job):\n    import c\n    from d import e, f\n    print(c)\n")
    assert stage_imports(script) == "import sys; sys.path.append('stages')\nimport sys\nfrom a import b\nimport c\nfrom d import e, f"


def test_ratios_are_of_rounds():
    assert ratios([1.0, 2.0, 4.0], [2.0, 2.0, 16.0]) == (2.0, 1.0, 4.0)


@pytest.mark.slow
def test_the_command_writes_results_and_the_page_keeps_its_words(tmp_path, capsys):
    from benchmarks.__main__ import main

    out = tmp_path / "toy.json"
    main(["--scale", "toy", "--case", "couple", "--rounds", "2", "--threads", "1", "--out", str(out)])
    result = json.loads(out.read_text())
    sides = result["cases"]["couple"]["sides"]
    assert list(sides) == ["ours", "peers", "peers, cached", "peers, cached, float32"]
    assert all(len(side["seconds"]) == 2 and min(side["seconds"]) > 0 for side in sides.values())
    assert sides["peers"]["calls"] == 16 > sides["peers, cached"]["calls"] >= 1 and sides["ours"]["calls"] <= 16
    assert sides["peers"]["peak_mib"] >= sides["peers"]["loaded_mib"] > 50
    assert "| Perturbed couplings | peers, cached |" in capsys.readouterr().out
    page = tmp_path / "page.md"
    page.write_text(f"# Words\n\n{tables.START}\nold\n{tables.END}\n\nMore words.\n")
    for _ in range(2):
        tables.write_page(page, [result])
        text = page.read_text()
        assert text.startswith("# Words\n") and text.endswith("\n\nMore words.\n") and "old" not in text
        assert text.count("## Scale `toy`") == 1
    page.write_text("# Words\n")
    with pytest.raises(ValueError, match="lacks the lines"):
        tables.write_page(page, [result])

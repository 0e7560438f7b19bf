"""The predecessors' algorithm as sides, on the inputs of ours."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import inputs, ours
from benchmarks.peers import Peers, PlainOptimizer, Trajectory, nelbo, sdtt_loss
from benchmarks.scales import Scale
from benchmarks.side import Side, timed
from benchmarks.trace import clock
from imdm.cost.work import expected_calls
from imdm.diffusion.nelbo import Noised
from imdm.diffusion.states import is_masked
from imdm.distill.sdtt import teacher_step


def sampling(scale: Scale, mask: str, dtype: torch.dtype = torch.float64) -> Side:
    """Unconditional samples; all steps cost the same, so some are timed and multiplied."""
    corpus = scale.openwebtext
    peers = Peers(ours.generator(scale, corpus, mask))
    tokens = torch.full((corpus.rows, corpus.seq_len), corpus.mask_id, device=inputs.device())
    return _generation(peers, tokens, torch.ones(corpus.rows), scale.steps, scale.measured, dtype)


def coupling(scale: Scale, cached: bool, dtype: torch.dtype = torch.float64) -> Side:
    """Perturbed couplings of the same blocks, masks and times as ours."""
    corpus = scale.lm1b
    network = ours.generator(scale, corpus, "single")
    _, made = ours.perturbed(scale, network)
    tokens = torch.where(made["masked"], corpus.mask_id, made["x"].long()).to(inputs.device())
    return _generation(Peers(network), tokens, made["t"], scale.coupling_steps, scale.measured, dtype, cached)


def _generation(peers: Peers, tokens: Tensor, start: Tensor, steps: int, measured: int, dtype: torch.dtype, cached: bool = False) -> Side:
    start, masked = start.to(tokens.device), int((tokens == peers.config.mask_id).sum())
    calls = expected_calls(steps, masked) if cached else steps

    def new() -> Trajectory:
        return Trajectory(peers, tokens, start, steps, dtype)

    if measured >= steps:
        return Side(timed(lambda: new().run(cached)), tokens.numel(), peers.network)

    def part() -> float:
        trajectory, before = new(), clock()
        for number in range(measured):
            trajectory.step(number)
        middle = clock()
        for number in range(measured if cached else 0):
            trajectory.step(number, reuse=True)
        return (calls * (middle - before) + (steps - calls) * (clock() - middle)) / measured

    note = f"{measured} of {steps:,} steps"
    if cached:
        note = f"{measured} of {calls:,.0f} steps with a call, {measured} of {steps - calls:,.0f} without"
    return Side(part, tokens.numel(), peers.network, calls=calls, note=note)


def _tokens(batch: Noised, peers: Peers) -> Tensor:
    return torch.where(is_masked(batch.z, peers.config.vocab_size), peers.config.mask_id, batch.z)


def nelbo_step(task: ours.Task) -> Side:
    """A step of pretraining or ReDi on the batch of our step."""
    loss, optimizer = nelbo_loss(task), _optimizer(task)
    return Side(timed(lambda: optimizer.step(loss()), ours.times()), task.tokens, task.network, times=ours.times())


def sdtt_step(scale: Scale) -> Side:
    """A step of SDTT's last round on the batch of our step."""
    task = ours.sdtt(scale)
    loss, optimizer = distillation_loss(task), _optimizer(task)
    return Side(timed(lambda: optimizer.step(loss()), ours.times()), task.tokens, task.network, task.teacher, times=ours.times())


def nelbo_loss(task: ours.Task) -> Callable[[], Tensor]:
    """The loss of pretraining or ReDi on the batch of our step, with fresh noise in each call."""
    peers, batch = Peers(task.network), task.batch
    tokens = _tokens(batch, peers)
    return lambda: nelbo(peers, batch.x, tokens, batch.t, peers.draw_noise(tokens))


def distillation_loss(task: ours.Task) -> Callable[[], Tensor]:
    """The loss of SDTT's last round on the batch of our step, with fresh noise and draws in each call."""
    student, teacher, batch = Peers(task.network), Peers(task.teacher), task.batch
    tokens = _tokens(batch, student)
    dt = teacher_step(task.training.settings.base_steps, ours.SDTT_ROUND)
    return lambda: sdtt_loss(student, teacher, tokens, batch.t, dt, student.draw_noise(tokens))


def _optimizer(task: ours.Task) -> PlainOptimizer:
    return PlainOptimizer(task.network, task.training.settings.lr, task.training.settings.ema)


def embedding(scale: Scale) -> Side:
    """Noise of every position and its MLP, on the batch of our side."""
    task = ours.pretraining(scale, "infinite")
    peers = Peers(task.network)
    tokens = _tokens(task.batch, peers)

    def prepare() -> None:
        peers.network.vocab_embed.noise = peers.draw_noise(tokens)

    return Side(ours.embedding_pass(peers.network, tokens, prepare), task.tokens)


def dense_gumbels(scale: Scale) -> Side:
    """Gumbel Distillation's embedding of a masked position: V Gumbels, their softmax, a matrix of V x d; float32."""
    task = ours.pretraining(scale, "gumbel")
    count, (vocab, width) = len(task.batch.masked), task.network.vocab_embed.embedding.shape
    weight = torch.nn.Parameter(torch.zeros(vocab, width, device=task.batch.z.device))

    def work() -> None:
        gumbels = -(-torch.rand(count, vocab, device=weight.device).clamp_(min=1e-20).log()).log()
        out = gumbels.softmax(-1) @ weight
        out.backward(torch.ones_like(out))

    return Side(timed(work), task.tokens)

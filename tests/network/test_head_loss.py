"""Losses made chunk by chunk from gathered positions equal those of all logits, in value and in every gradient."""

import pytest
import torch

from imdm.diffusion.counter import Stream, bits, row_seeds, uniform
from imdm.diffusion.nelbo import Noised, forward_process, weighted_nll
from imdm.distill import sdtt
from imdm.network import head_loss, mask_embedding
from networks import small_network

ROWS, LENGTH, VOCAB = 6, 5, 7
KINDS = ["single", "infinite", "finite"]


@pytest.fixture(params=[2**24, 2 * VOCAB, 5 * VOCAB])
def chunk(request, monkeypatch):
    """All positions at once, two at a time, and a number that divides nothing."""
    monkeypatch.setitem(head_loss.CHUNK, "cpu", request.param)
    monkeypatch.setattr(mask_embedding, "_CHUNK", request.param)


@pytest.fixture(params=[1, 4])
def padded(request, monkeypatch):
    """A vocabulary as it is, and rounded up from 7 to 8, as on a GPU."""
    monkeypatch.setitem(head_loss.MULTIPLE, "cpu", request.param)


def noised(seed: int = 0) -> Noised:
    return forward_process(torch.randint(0, 3, (ROWS, LENGTH)), seed, 0, 0, ROWS, VOCAB)


def dense_log_p(network, z: torch.Tensor) -> torch.Tensor:
    """The predecessors' way: all positions to the vocabulary, the mask token's logit out of play."""
    logits = network.logits(network.hidden(z))
    return torch.log_softmax(logits + torch.eye(VOCAB, dtype=logits.dtype)[network.config.mask_id] * -1e6, dim=-1)


def dense_nelbo(network, batch: Noised) -> torch.Tensor:
    nll = -dense_log_p(network, batch.z).gather(-1, batch.x[..., None])[..., 0]
    masked = batch.z >= VOCAB
    return (nll * masked / batch.t[:, None]).sum() / batch.x.numel()


def gradients(loss: torch.Tensor, network) -> list[torch.Tensor]:
    return torch.autograd.grad(loss, list(network.parameters()), allow_unused=True, materialize_grads=True)


def agree(network, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-10)
    pairs = zip(network.parameters(), gradients(ours, network), gradients(theirs, network), strict=True)
    for parameter, mine, other in pairs:
        assert torch.allclose(mine, other, rtol=0, atol=1e-10 * max(1, other.abs().max())), parameter.shape


@pytest.mark.parametrize("mask", KINDS)
def test_nelbo_is_that_of_all_logits(mask, chunk, padded):
    network, batch = small_network(mask=mask).double(), noised()
    agree(network, head_loss.nelbo(network, batch), dense_nelbo(network, batch))
    assert weighted_nll(network(batch.z, batch.masked), batch).item() == pytest.approx(dense_nelbo(network, batch).item(), rel=1e-10)


@pytest.mark.parametrize("mask", KINDS)
@pytest.mark.parametrize("kind", ["reverse_kl", "forward_kl"])
def test_sdtt_loss_is_that_of_all_logits(mask, kind, chunk, padded):
    student, teacher = (small_network(seed, mask=mask).double() for seed in (0, 1))
    batch, seeds, dt = noised(3), row_seeds(9, 0, ROWS), 0.3
    column, masked = torch.arange(LENGTH), batch.z >= VOCAB
    first = masked & (uniform(bits(seeds[:, None], Stream.SUBSTEP, 0, column)) < dt / batch.t[:, None])
    u = uniform(bits(seeds[:, None], Stream.SUBSTEP, 1, column))
    with torch.no_grad():
        at_t = dense_log_p(teacher, batch.z)
        tokens = torch.searchsorted(at_t.exp().cumsum(-1), u[..., None], right=True)[..., 0]
        target = torch.where(first[..., None], at_t, dense_log_p(teacher, torch.where(first, tokens, batch.z)))
    assert first.any() and (masked & ~first).any()
    log_p, log_q = (dense_log_p(student, batch.z), target) if kind == "reverse_kl" else (target, dense_log_p(student, batch.z))
    divergence = (log_p.exp() * (log_p - log_q)).sum(-1)[masked].mean()
    agree(student, sdtt.sdtt_loss(student, teacher, batch, seeds, dt, "corrected", kind), divergence)


def test_no_gradient_is_made_where_none_is_wanted():
    network, batch = small_network(), noised()
    wanted = head_loss.nelbo(network, batch)
    with torch.inference_mode():
        plain = head_loss.nelbo(network, batch)
    assert plain.item() == wanted.item() and wanted.requires_grad and not plain.requires_grad
    assert not head_loss.nelbo(network.requires_grad_(False), batch).requires_grad


def test_memory_of_logits_is_one_chunk(monkeypatch):
    """No tensor of n x V is made by loss or backward pass when n is many chunks."""
    network, batch = small_network(vocab_size=50, seq_len=64), forward_process(torch.randint(0, 3, (16, 64)), 0, 0, 0, 16, 50)
    rows = 20
    monkeypatch.setitem(head_loss.CHUNK, "cpu", rows * 50)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.dim() == 2 and out.shape[1] == 50:
                largest = max(largest, len(out))
            return out

    with Watch():
        head_loss.nelbo(network, batch).backward()
    assert largest == rows < len(batch.masked)


def test_an_unmasked_batch_costs_nothing():
    network, batch = small_network(), noised()
    nothing = Noised(batch.x, batch.x, batch.masked[:0], batch.t)
    assert head_loss.nelbo(network, nothing).item() == 0
    assert sdtt.sdtt_loss(network, network, nothing, row_seeds(0, 0, ROWS), 0.1, "corrected", "reverse_kl").item() == 0

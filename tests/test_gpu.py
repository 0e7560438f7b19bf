"""What only a GPU shows: equal bits, compiled kernels, CUDA graphs, loops that never wait for the device."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch

from imdm.diffusion.counter import row_seeds, uniform
from imdm.diffusion.noise import carried_uniform, coordinates, noise, table_of
from imdm.distill.couplings import make_couplings
from imdm.network.network import compiled
from imdm.params import Couplings, Runtime
from imdm.sampling.categorical import draw
from imdm.sampling.sampler import sample
from imdm.stage.device import prepare
from networks import small_network
from trainings import BLOCKS, TRAININGS

HOW = "no GPU here; on a machine with one: python -m pytest tests/test_gpu.py"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason=HOW)

GPU = torch.device("cuda")
PLAIN = Runtime(device="cuda", precision="float32", compile=False)


@contextlib.contextmanager
def no_waiting():
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("dist", ["uniform", "gaussian", "rademacher"])
def test_noise_is_the_cpus_to_the_bit(dist):
    keys = row_seeds(3, 0, 500)
    expected = noise(keys, 130, dist, 0.5)
    assert torch.equal(noise(keys.to(GPU), 130, dist, 0.5).cpu(), expected)
    assert torch.equal(compiled(coordinates)(keys.to(GPU), 130, dist, 0.5, table_of(dist, GPU)).cpu(), expected)
    assert torch.equal(carried_uniform(keys), carried_uniform(keys.to(GPU)).cpu())


def test_a_categorical_draw_is_the_cpus():
    generator = torch.Generator().manual_seed(0)
    logits, u = 8 * torch.randn(40, 1000, generator=generator, dtype=torch.float64), uniform(row_seeds(1, 0, 40_000)).view(40, 1000)
    here, there = draw(logits, u), draw(logits.to(GPU), u.to(GPU)).cpu()
    assert (here != there).sum() <= 1  # exp may differ in its last bit, and a uniform fall between


@pytest.mark.parametrize("mask", ["single", "infinite", "finite"])
@pytest.mark.parametrize("given", [False, True])
def test_samples_and_couplings_of_a_float64_network_are_the_cpus(mask, given):
    network = small_network(mask=mask).double()
    other, seeds = copy.deepcopy(network).to(GPU), row_seeds(1, 0, 64)
    visible = (torch.arange(320).view(64, 5) % 3 == 0, torch.zeros(64, 5, dtype=torch.int64)) if given else None
    here = sample(network, seeds, 3, visible=visible)
    there = sample(other, seeds.to(GPU), 3, visible=visible and tuple(part.to(GPU) for part in visible))
    assert torch.equal(here.unmasked_at, there.unmasked_at.cpu()) and torch.equal(here.calls, there.calls.cpu())
    assert (here.tokens != there.tokens.cpu()).sum() <= 1
    settings = Couplings(pairs=64, steps=4)
    ours, theirs = (make_couplings(one, BLOCKS, 0, 64, settings, 1) for one in (network, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in ("masked", "t", "seed"))
    assert (ours["x"] != theirs["x"]).sum() <= 1


def test_imdm_starts_as_its_mdlm_to_the_bit_in_bfloat16():
    mdlm, imdm = (small_network(mask=mask, random=False) for mask in ("single", "infinite"))
    for name, parameter in mdlm.named_parameters():
        torch.nn.init.normal_(parameter, std=0.4)
        imdm.get_parameter(name).data.copy_(parameter)
    z = torch.randint(0, 2**40, (8, 5), device=GPU)
    one, other = (prepare(network, Runtime(device="cuda", compile=False))(z, torch.arange(40, device=GPU)) for network in (mdlm, imdm))
    assert one.isfinite().all() and torch.equal(one, other)


def step(training, runtime: Runtime, number: int = 0) -> tuple[float, dict[str, torch.Tensor]]:
    training.place(runtime, GPU)
    loss = training(number)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in training.network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", [name for name in TRAININGS if not name.startswith("di4c")])  # which waits for its draws
def test_a_training_step_is_the_cpus_and_waits_for_nothing(name):
    here, there = TRAININGS[name](), TRAININGS[name]()
    expected = here(0)
    expected.backward()
    found, gradients = step(there, PLAIN.model_copy(update={"deterministic": True}))
    assert found == pytest.approx(expected.item(), rel=1e-4)
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(gradient.cpu(), here.network.get_parameter(parameter).grad, rtol=1e-3, atol=1e-5)
    optimizer = torch.optim.AdamW(there.network.parameters(), 1e-3, fused=True)
    for number in range(2):
        with contextlib.nullcontext() if number == 0 else no_waiting():
            optimizer.zero_grad()
            there(number).backward()
            torch.nn.utils.clip_grad_norm_(there.network.parameters(), 1.0)
            optimizer.step()
            there.ema.update(there.network)


@pytest.mark.parametrize("name", ["pretrain", "sdtt"])
def test_compiled_blocks_and_kernels_change_rounding_alone(name):
    (loss, gradients), (other, others) = (
        step(TRAININGS[name](), Runtime(device="cuda", precision="bfloat16", compile=compile)) for compile in (False, True)
    )
    assert other == pytest.approx(loss, rel=0.02) and gradients.keys() == others.keys()
    for parameter, gradient in gradients.items():
        assert (others[parameter] - gradient).norm() <= 0.05 * gradient.norm() + 1e-3, parameter


def test_cuda_graphs_change_no_sample_and_the_sampler_waits_once():
    plain, recorded = (small_network(mask="infinite") for _ in range(2))
    prepare(plain, PLAIN), prepare(recorded, Runtime(device="cuda", precision="float32", compile=True), cuda_graphs=True)
    for first in range(3):  # the first call compiles, the second records
        seeds = row_seeds(1, 64 * first, 64, GPU)
        expected, found = (sample(network, seeds, 4).tokens for network in (plain, recorded))
        assert (expected != found).float().mean() < 0.01
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing CUDA operation") as seen:
            sample(plain, seeds, 4)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(seen) == 1


@pytest.mark.parametrize("name", ["pretrain", "sdtt"])
def test_deterministic_steps_are_equal_to_the_bit(name):
    runtime = Runtime(device="cuda", compile=False, deterministic=True)
    try:
        (loss, gradients), (other, others) = (step(TRAININGS[name](), runtime) for _ in range(2))
    finally:
        prepare(small_network(), PLAIN)
    assert loss == other and all(torch.equal(gradient, others[parameter]) for parameter, gradient in gradients.items())

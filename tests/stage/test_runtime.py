"""Precision and compilation change rounding alone; a machine without a compiler goes on without it; GPUs by what nvidia-smi says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imdm.diffusion.counter import row_seeds
from imdm.diffusion.noise import coordinates, noise, table_of
from imdm.distill.di4c import Di4cTraining, mixture_student
from imdm.network.network import compiled
from imdm.params import Di4c, Pretrain, Runtime
from imdm.stage.device import prepare, prepare_frozen, setup
from imdm.stage.gpus import recognise, visible_gpus
from imdm.training.pretrain import Pretraining
from networks import small_network

BLOCKS = np.random.default_rng(0).integers(0, 3, (30, 5)).astype(np.uint16)
SETTINGS = Pretrain(steps=4, batch_size=16, warm_start=1)


def test_the_determinism_switch_refuses_what_is_not():
    """The float32 rest of a GPU's work is then exact too: no TF32."""
    values = torch.zeros(3)
    try:
        setup(Runtime(device="cpu", deterministic=True))
        assert torch.get_float32_matmul_precision() == "highest"
        with pytest.raises(RuntimeError, match="does not have a deterministic implementation"):
            values.put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    finally:
        setup(Runtime(device="cpu"))
    values.put_(torch.tensor([0]), torch.tensor([1.0]))
    assert torch.get_float32_matmul_precision() == "high" and values.tolist() == [1, 0, 0]


def step(training, number: int, **runtime) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one step under these runtime parameters."""
    training.place(Runtime(device="cpu", threads=1, **runtime), torch.device("cpu"))
    training.network.zero_grad()
    loss = training(number)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in training.network.named_parameters() if p.grad is not None}


def pretraining(**changes) -> Pretraining:
    return Pretraining(small_network(mask="infinite", **changes), SETTINGS, 0, BLOCKS)


@pytest.mark.parametrize("number", [0, 1])  # a warm start's step, then a diffusion step
def test_a_bfloat16_body_trains_float32_weights(number):
    (loss, gradients), (other, others) = (step(pretraining(), number, precision=name) for name in ("float32", "bfloat16"))
    assert other != loss and other == pytest.approx(loss, rel=0.02)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        assert others[name].dtype == torch.float32
        assert (others[name] - gradient).norm() <= 0.1 * gradient.norm() + 1e-3, name


def test_a_bfloat16_student_of_di4c_gets_all_gradients():
    """Its targets come from itself without gradient first; autocast must not keep those casts of the weights."""
    settings = Di4c(steps=4, batch_size=4, latents=3, latent_hidden=8, time_steps=8, small_time=0.5, small_time_share=0.3)
    found = []
    for name in ("float32", "bfloat16"):
        teacher = small_network(mask="single")
        found.append(step(Di4cTraining(mixture_student(teacher, 8, 0), teacher, settings, 1, 0, BLOCKS), 0, precision=name))
    (loss, gradients), (other, others) = found
    assert other == pytest.approx(loss, rel=0.1) and gradients.keys() == others.keys()


@pytest.mark.parametrize("mask", ["single", "infinite"])
def test_a_network_that_is_only_read_computes_the_same_bits_with_lower_weights(mask):
    runtime, z = Runtime(device="cpu", precision="bfloat16"), torch.randint(0, 2**40, (6, 5), generator=torch.Generator().manual_seed(0))
    trained, frozen = prepare(small_network(mask=mask), runtime), prepare_frozen(small_network(mask=mask), runtime)
    assert frozen.blocks[0].attn_qkv.weight.dtype == frozen.output_layer.linear.weight.dtype == torch.bfloat16
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert torch.equal(trained(z, torch.arange(30)), frozen(z, torch.arange(30)))


def test_compiled_blocks_give_the_same_loss_and_names():
    eager, compiled = pretraining(), pretraining()
    names = list(compiled.network.state_dict())
    loss, gradients = step(eager, 1, compile=False)
    other, others = step(compiled, 1, compile=True)
    assert other == pytest.approx(loss, rel=1e-5) and gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-4, atol=1e-6)
    assert list(compiled.network.state_dict()) == names
    assert all(block._compiled_call_impl is not None for block in compiled.network.blocks)


@pytest.mark.slow  # the compiler takes a quarter of a minute for each
@pytest.mark.parametrize("dist", ["uniform", "gaussian", "rademacher"])
def test_compiled_noise_is_the_same_to_the_bit(dist):
    for count in (1, 300, 37):
        keys = row_seeds(3, 0, count)
        assert torch.equal(compiled(coordinates)(keys, 70, dist, 0.5, table_of(dist, keys.device)), noise(keys, 70, dist, 0.5))


def test_without_a_compiler_the_network_stays_as_it_is(monkeypatch, capsys):
    import torch._inductor.config
    import torch._inductor.cpp_builder as builder

    builder.cpp_compiler_search.cache_clear()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    network = prepare(small_network(), Runtime(device="cpu", compile=True))
    builder.cpp_compiler_search.cache_clear()
    assert capsys.readouterr().err == "runtime.compile: there is no C++ compiler here, so the network runs uncompiled.\n"
    assert all(block._compiled_call_impl is None for block in network.blocks)


def test_gpus_are_recognised():
    names = {
        ("NVIDIA A100-SXM4-80GB", 85.9): "a100-80",
        ("NVIDIA A100-PCIE-40GB", 42.9): "a100-40",
        ("NVIDIA GeForce RTX 4090", 25.8): "rtx-4090",
        ("NVIDIA H100 80GB HBM3", 85.5): "h100",
        ("NVIDIA H200", 150.8): "h200",
    }
    assert {seen: recognise(*seen).name for seen in names} == names
    assert recognise("Tesla T4", 16.0) is None


def test_nvidia_smi_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771'\necho 'NVIDIA H200, 143771'\n")
    fake.chmod(0o755)
    assert [name for name, _ in visible_gpus()] == ["NVIDIA H200"] * 2
    assert visible_gpus()[0][1] == pytest.approx(150.8, abs=0.1)

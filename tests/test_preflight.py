"""The preflight's arithmetic against networks, samplers and counters that were not written for it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import preflight as script
from imdm.diffusion.counter import row_seeds
from imdm.diffusion.nelbo import forward_process, weighted_nll
from imdm.diffusion.states import is_masked
from imdm.distill.sdtt import divergence, sdtt_target
from imdm.models.config import NetworkConfig
from imdm.models.dit import Network
from imdm.params import Judge, Sdtt, load_params
from imdm.preflight import ready
from imdm.preflight.cost import generation, half_masked, micro_batch, training
from imdm.preflight.estimate import estimate
from imdm.preflight.events import expected_calls, expected_embedded, perturbed
from imdm.preflight.jobs import Job
from imdm.preflight.judge import judge_shape
from imdm.preflight.machines import Machine, find_gpu, recognise
from imdm.preflight.schedule import critical_path, makespan
from imdm.preflight.shape import Pass, Shape
from imdm.sampling.sampler import sample
from networks import small_network
from stage import MICRO, ROOT

# Large enough that no small term hides a large one.
SIZES = dict(vocab_size=50, mask_id=3, seq_len=24, hidden_size=32, blocks=2, heads=4, cond_dim=16, noise_dim=40)
OWT = dict(vocab_size=50_258, mask_id=50_257, seq_len=1024, hidden_size=768, blocks=12, heads=12, cond_dim=128)
LARGE = OWT | dict(hidden_size=1536, blocks=24, heads=16)


def counted(work) -> int:
    """Operations of `work()` by PyTorch's counter, which knows the attention of the mathematical backend."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work()
    return counter.get_total_flops()


# Parameters


@pytest.mark.parametrize("mask", ["single", "infinite", "finite"])
@pytest.mark.parametrize("learned_positions", [False, True])
def test_parameters_of_the_network(mask, learned_positions):
    config = NetworkConfig(**SIZES, mask=mask, finite_masks=17, learned_positions=learned_positions)
    network = Network(config)
    assert Shape(config).parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    "sizes, parameters, noise_dim, mask_parameters",
    [
        (OWT, 169_627_218, 2048, 8_653_824),
        (OWT | dict(vocab_size=30_522, mask_id=103, seq_len=128), 139_292_986, 768, 4_721_664),
        (LARGE, 863_158_098, 2048, 22_026_240),
    ],
)
def test_published_parameter_counts(sizes, parameters, noise_dim, mask_parameters):
    assert Shape(NetworkConfig(**sizes, mask="single")).parameters == parameters
    infinite = Shape(NetworkConfig(**sizes, mask="infinite", noise_dim=noise_dim))
    assert infinite.mask_parameters == mask_parameters and infinite.parameters == parameters + mask_parameters


def test_parameters_of_the_judge():
    assert judge_shape(Judge(stage="load_judge", model="gpt2"), 0).parameters == 124_439_808
    assert judge_shape(Judge(stage="load_judge", model="openai-community/gpt2-large"), 0).parameters == 774_030_080


# Operations


@pytest.mark.parametrize("changes", [{}, {"mask": "single"}, {"mask": "finite"}, {"softcap": 50.0}])
def test_operations_of_a_forward_pass(changes):
    network = small_network(**SIZES | changes)
    batch = forward_process(torch.randint(50, (6, 24)), 1, 0, 0, 6, 50)
    heads = batch.masked[:11]
    work = Pass(rows=6, heads=len(heads), masked=len(batch.masked), calls=1)
    assert Shape(network.config).forward(work) == counted(lambda: network(batch.z, heads))


def test_operations_of_a_training_step():
    """Three forward passes, but for inputs that need no gradient: noise and the time's sinusoid."""
    network = small_network(**SIZES)
    batch = forward_process(torch.randint(50, (64, 24)), 1, 0, 0, 64, 50)
    step = Pass(64, len(batch.masked), len(batch.masked), 1)
    found = counted(lambda: weighted_nll(network(batch.z, batch.masked), batch).backward())
    assert found == pytest.approx(3 * Shape(network.config).forward(step), rel=0.05)
    assert len(batch.masked) == pytest.approx(64 * 24 / 2, rel=0.05)


def test_operations_of_an_sdtt_step():
    teacher, student = small_network(**SIZES), small_network(1, **SIZES)
    size = 64

    def step() -> None:
        batch = forward_process(torch.randint(50, (size, 24)), 1, 0, 0, size, 50)
        target = sdtt_target(teacher, batch, row_seeds(1, 0, size), 1 / 64)
        divergence(student(batch.z, batch.masked), target).backward()

    cost = training(Shape(student.config), Sdtt(steps=1, batch_size=size, rounds=[{"round": 1, "teacher": "teacher"}]), None, 2)
    assert cost.flops == pytest.approx(counted(step), rel=0.05)


def test_operations_agree_with_a_published_throughput():
    """flow_matching reports a 12x768 DiT with all logits at 288,000 tokens/s: 26% of an H100."""
    shape = Shape(NetworkConfig(**OWT, mask="single"))
    token = 3 * shape.forward(Pass(1, 1024, 0, 1)) / 1024
    assert token * 288_000 / (find_gpu("h100").bfloat16 * 1e12) == pytest.approx(0.26, abs=0.02)


# The sampler's expected work


@given(steps=st.integers(1, 5), masked=st.integers(1, 5))
@settings(deadline=None, max_examples=25)
def test_expectations_by_enumeration(steps, masked):
    """Every assignment of masks to steps is equally likely; a mask is embedded in each occupied step up to its own."""
    calls = embedded = 0
    for places in itertools.product(range(steps), repeat=masked):
        occupied = sorted(set(places))
        calls += len(occupied)
        embedded += sum(sum(step <= place for step in occupied) for place in places)
    assert expected_calls(steps, masked) == pytest.approx(calls / steps**masked)
    assert expected_embedded(steps, masked) == pytest.approx(embedded / steps**masked)


def test_perturbed_couplings_need_few_calls():
    """N (1 - E[(1 - 1/N)^n]) with n uniform on 0..L is a geometric sum."""
    for length, about in ((128, 61.4), (1024, 377)):
        ratio = 1 - 1 / 1024
        exact = 1024 * (1 - (1 - ratio ** (length + 1)) / (1 - ratio) / (length + 1))
        assert perturbed(expected_calls, 1024, length) == pytest.approx(exact) == pytest.approx(about, rel=2e-3)


@pytest.mark.parametrize("perturb", [False, True])
def test_the_sampler_does_the_expected_work(perturb):
    network, rows, steps, length = small_network(**SIZES), 512, 16, 24
    generator = torch.Generator().manual_seed(0)
    visible, embedded = None, 0
    if perturb:
        levels = torch.rand(rows, 1, generator=generator)
        visible = (torch.rand(rows, length, generator=generator) >= levels, torch.randint(50, (rows, length), generator=generator))

    original = network.vocab_embed.forward

    def embed(z: torch.Tensor) -> torch.Tensor:
        nonlocal embedded
        embedded += int(is_masked(z, 50).sum())
        return original(z)

    network.vocab_embed.forward = embed
    calls = []
    flops = counted(lambda: calls.append(sample(network, row_seeds(3, 0, rows), steps, visible=visible).calls))
    expected = [perturbed(f, steps, length) if perturb else f(steps, length) for f in (expected_calls, expected_embedded)]
    # perturbed blocks differ much in their number of masks: about 5 standard errors
    assert calls[0].double().mean().item() == pytest.approx(expected[0], rel=0.1 if perturb else 0.02)
    assert embedded / rows == pytest.approx(expected[1], rel=0.15 if perturb else 0.03)
    cost = generation(Shape(network.config), rows, steps, None if perturb else length, rows, 0)
    assert cost.flops == pytest.approx(flops, rel=0.12 if perturb else 0.03)


# Memory


@pytest.mark.parametrize("softcap", [None, 50.0])
def test_bytes_that_a_training_pass_keeps(softcap):
    """What autograd saves, in bfloat16: the difference of two depths, widths and batches isolates the body's share."""

    def saved(blocks: int) -> tuple[int, float]:
        network = small_network(**SIZES | dict(hidden_size=64, blocks=blocks, dropout=0.1, softcap=softcap, seq_len=64)).train()
        network.body_dtype = torch.bfloat16
        parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
        kept: dict[int, torch.Tensor] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.untyped_storage().data_ptr() not in parameters:
                kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        batch = forward_process(torch.randint(50, (16, 64)), 1, 0, 0, 16, 50)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            weighted_nll(network(batch.z, batch.masked), batch)
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()), 16 * Shape(network.config).saved_bytes(14)

    (shallow, estimated_shallow), (deep, estimated_deep) = saved(1), saved(5)
    assert deep - shallow == pytest.approx(estimated_deep - estimated_shallow, rel=0.1)


def test_training_passes_divide_the_batch():
    assert [micro_batch(512, most) for most in (None, 512, 511, 100, 1)] == [512, 512, 256, 64, 1]
    assert micro_batch(6, 4) == 3


def test_accumulated_passes_save_memory_and_no_operations():
    shape = Shape(NetworkConfig(**SIZES))
    rounds = [{"round": 1, "teacher": "teacher"}]
    whole, parts = (training(shape, Sdtt(steps=10, batch_size=64, rounds=rounds), most, 2) for most in (None, 16))
    held = shape.parameters * 28
    assert parts.memory - held == pytest.approx((whole.memory - held) / 4)
    assert whole.tokens == parts.tokens == 10 * 64 * 24
    assert parts.flops == pytest.approx(whole.flops, rel=0.05)


def test_half_of_the_positions_are_masked():
    shape = Shape(NetworkConfig(**SIZES))
    assert half_masked(shape, 2, 0) == 2 * shape.row_flops + 24 * (shape.head_flops + shape.mask_flops)


# Time


def test_a_hand_made_schedule():
    """Two chains of 3 + 1 and 2 hours and a job of 2 hours without a GPU, which delays only what waits for it."""
    jobs = [Job("a", "a"), Job("b", "b", ("a",)), Job("c", "c"), Job("d", "d"), Job("e", "e", ("d", "c"))]
    seconds = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 2.0, "e": 1.0}
    assert makespan(jobs, seconds, {"a", "b", "c", "e"}, 1) == 7
    assert makespan(jobs, seconds, {"a", "b", "c", "e"}, 2) == 4
    assert critical_path(jobs, seconds) == ["a", "b"]


@given(data=st.data(), gpus=st.integers(1, 4))
@settings(deadline=None)
def test_schedules_keep_grahams_bound(data, gpus):
    count = data.draw(st.integers(1, 9))
    jobs = [Job("x", str(i), tuple(str(k) for k in range(i) if data.draw(st.booleans()))) for i in range(count)]
    seconds = {job.out: float(data.draw(st.integers(1, 20))) for job in jobs}
    longest = sum(seconds[name] for name in critical_path(jobs, seconds))
    work, found = sum(seconds.values()), makespan(jobs, seconds, set(seconds), gpus)
    assert max(longest, work / gpus) <= found + 1e-9
    assert found <= work / gpus + longest * (1 - 1 / gpus) + 1e-9
    assert makespan(jobs, seconds, set(seconds), 1) == pytest.approx(work)
    assert makespan(jobs, seconds, set(seconds), count) == pytest.approx(longest)


def test_small_batches_take_as_long_as_their_kernels():
    machine = Machine.of(find_gpu("a100-80"), 100)
    assert machine.seconds(1e15, 10) == pytest.approx(10)
    assert machine.seconds(1e9, 1000) == pytest.approx(0.3)
    assert machine.seconds(1e15, 0, float32=True) == pytest.approx(160)


def test_pretraining_budget_of_lm1b():
    machine = Machine.of(find_gpu("h100"))
    found = estimate(load_params(ROOT / "presets/lm1b.yaml"), "all", machine, Path("/nowhere"))
    teacher = found.costs["teacher"]
    assert teacher.tokens - 140 * 512 * 128 == 1_000_000 * 512 * 128 == 65_536_000_000
    assert found.seconds["teacher"] == pytest.approx(teacher.flops / 296.7e12)
    token = 3 * (12 * (24 * 768**2 + 4 * 128 * 768) + 768 * 30_522)
    assert teacher.flops == pytest.approx(65_536_000_000 * token, rel=2e-3)


# What is missing


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
    assert ready.visible_gpus() == []
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771'\necho 'NVIDIA H200, 143771'\n")
    fake.chmod(0o755)
    assert [name for name, _ in ready.visible_gpus()] == ["NVIDIA H200"] * 2
    assert ready.visible_gpus()[0][1] == pytest.approx(150.8, abs=0.1)
    assert not list(ready.gpus(ready.visible_gpus(), 2)) and "3 GPUs" in next(ready.gpus(ready.visible_gpus(), 3)).what


def test_packages_are_looked_up(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["torch>=2", "no-such-package>=1,<2"]\n')
    (missing,) = ready.packages(tmp_path)
    assert missing.what == "Python packages no-such-package" and "requirements.lock" in missing.remedy
    assert not list(ready.packages(ROOT))


def test_sources_that_are_not_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    params = load_params(ROOT / "presets/owt.yaml", ["corpus.path=texts/*.parquet"])
    checkpoint, corpus, hub = ready.Sources(params, tmp_path).missing()
    assert "sdtt7-di4c2.ckpt" in checkpoint.what and "corpus.path" in corpus.what
    for name in ("kuleshov-group/mdlm-owt", "jdeschena/sdtt@baselines_kld_step_70000", "gpt2-large", "corpus.tokenizer (gpt2)"):
        assert name in hub.what

    for name, revision in (("jdeschena--sdtt", "baselines_kld_step_70000"), ("kuleshov-group--mdlm-owt", "main")):
        refs = tmp_path / f"cache/hub/models--{name}/refs"
        refs.mkdir(parents=True)
        (refs / revision).write_text("0" * 40)
    for file in ("checkpoints/sdtt7-di4c2.ckpt", "texts/a.parquet", "data/openwebtext-per_batch-1024/dataset.json"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (hub,) = ready.Sources(params, tmp_path).missing()
    assert hub.what.endswith("for judge.model (gpt2-large)")


def test_batches_that_do_not_fit():
    params = load_params(ROOT / "presets/owt.yaml", ["runtime.micro_batch=128"])
    found = estimate(params, "paper", Machine.of(find_gpu("h100")), Path("/nowhere"))
    (missing,) = ready.memory(found, find_gpu("h100"))
    assert missing.what.startswith("GPU memory: sdtt") and missing.remedy == "lower runtime.micro_batch"


@pytest.mark.parametrize("preset, gpu", [("lm1b", "h100"), ("owt", "h100"), ("owt-860m", "h100"), ("single-gpu", "rtx-4090")])
def test_presets_fit_on_the_gpus_that_they_name(preset, gpu):
    found = estimate(load_params(ROOT / f"presets/{preset}.yaml"), "paper", Machine.of(find_gpu(gpu)), Path("/nowhere"))
    assert not list(ready.memory(found, find_gpu(gpu)))


def test_disk_space(tmp_path, monkeypatch):
    monkeypatch.setattr(ready.shutil, "disk_usage", lambda _: SimpleNamespace(free=5e9))
    assert not list(ready.disk(4e9, tmp_path))
    assert next(ready.disk(6e9, tmp_path)).what == "6 GB of disk (5 GB are free)"


# The script


def test_nothing_is_missing_for_a_small_run(capsys):
    assert script.main(["--params", str(MICRO)]) == 0
    assert "Nothing is missing." in capsys.readouterr().out


def test_what_is_missing_decides_the_exit_code(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert script.main(["--params", str(ROOT / "presets/lm1b.yaml"), "--gpu", "h100", "--tflops", "150"]) == 1
    printed = capsys.readouterr().out
    assert "Rate: 150 TFLOP/s" in printed and "- huggingface.co can't be reached" in printed


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--gpu", "abacus"], "--gpu abacus is not known"),
        (["--gpus", "0"], "--gpus and --tflops must be positive"),
        (["--set", "corpus.tokenizer=some/tokenizer"], "run stages/tokenize_pack.py first"),
        (["--set", "noise_dims=3"], "did you mean noise_dim?"),
    ],
)
def test_mistakes_end_with_a_sentence(arguments, sentence, capsys):
    assert script.main(["--params", str(MICRO), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_help(capsys):
    with pytest.raises(SystemExit, match="0"):
        script.main(["--help"])
    assert "30% of its peak" in " ".join(capsys.readouterr().out.split())


def test_torch_is_not_imported():
    code = f"import sys, preflight; preflight.main(['--params', {str(MICRO)!r}]); sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "stages")}
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True).returncode == 0

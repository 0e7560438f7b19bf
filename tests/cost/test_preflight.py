"""What the preflight finds missing, and its script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from imdm.cost.machines import Machine

import preflight as script
from imdm.cost import ready
from imdm.cost.estimate import estimate
from imdm.params import load_params
from imdm.stage.gpus import find_gpu, recognise
from script import MICRO, ROOT

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
    params = load_params(ROOT / "presets/owt.yaml", ["runtime.micro_batch=256"])
    found = estimate(params, "paper", Machine.of(find_gpu("h100")), Path("/nowhere"))
    (missing,) = ready.memory(found, find_gpu("h100"))
    assert missing.what.startswith("GPU memory: redi") and missing.remedy == "lower runtime.micro_batch"


@pytest.mark.parametrize("preset, gpu", [("lm1b", "h100"), ("owt", "h100"), ("owt-860m", "h100"), ("single-gpu", "rtx-4090")])
def test_presets_fit_on_the_gpus_that_they_name(preset, gpu):
    found = estimate(load_params(ROOT / f"presets/{preset}.yaml"), "paper", Machine.of(find_gpu(gpu)), Path("/nowhere"))
    assert not list(ready.memory(found, find_gpu(gpu)))


def test_batches_that_gpus_cannot_share():
    params = load_params(ROOT / "presets/owt.yaml")
    assert not list(ready.shares({"sdtt", "redi"}, params, 64))
    assert [item.what for item in ready.shares({"sdtt", "redi"}, params, 256)] == ["equal parts of sdtt.batch_size = 128 for 256 GPUs"]


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
        (["--gpus", "0"], "--gpus, --scaling and --tflops must be positive"),
        (["--scaling", "1", "0"], "--gpus, --scaling and --tflops must be positive"),
        (["--gpus", "3", "--set", "runtime.devices=4"], "--gpus 3 is less than the 4 of a training"),
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

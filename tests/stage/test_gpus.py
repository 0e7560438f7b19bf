"""GPUs by what nvidia-smi says of them."""

from __future__ import annotations

import pytest

from imdm.stage.gpus import recognise, visible_gpus


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

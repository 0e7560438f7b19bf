"""What jobs ask of a scheduler follows from the parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkout import ROOT
from hand_made import READS, RUN
from imdm.cost.request import Request, Requests
from imdm.params import load_params

SDTT, SAMPLES = ("sdtt", f"{RUN}/models/imdm/sdtt1"), ("sample", f"{RUN}/samples/imdm/redi", "imdm/redi")


def asked(job: tuple[str, ...], *sets: str, gpu: str = "") -> Request:
    return Requests(load_params(ROOT / "presets/owt-860m.yaml", sets), READS, Path("/nowhere"), gpu).of(*job)


def test_every_process_of_a_training_holds_student_average_and_teacher_on_the_host():
    parameters = 0.88e9
    one, eight = (asked(SDTT, f"runtime.gpus={gpus}") for gpus in (1, 8))
    assert one.gpus == 1 and one.cpus == 4 and one.mem_mb > 16 * parameters / 1e6
    assert eight.gpus == 8 and eight.cpus == 32 and 110_000 < 8 * 16 * parameters / 1e6 < eight.mem_mb < 200_000
    untaught = asked(("redi", f"{RUN}/models/imdm/redi"), "runtime.gpus=8")
    assert untaught.mem_mb == pytest.approx(eight.mem_mb - 8 * 4 * parameters / 1e6, abs=2000)


def test_on_several_nodes_each_holds_its_own_processes_and_the_time_is_shared():
    one, two = (asked(SDTT, "runtime.gpus=8", f"runtime.nodes={nodes}") for nodes in (1, 2))
    assert (two.nodes, two.tasks, two.gpus, two.cpus, two.mem_mb) == (2, 8, 8, 4, one.mem_mb)
    assert two.minutes - 240 == pytest.approx((one.minutes - 240) / 2, abs=1)
    assert asked(SAMPLES, "runtime.gpus=8", "runtime.nodes=2") == asked(SAMPLES) and asked(SAMPLES).gpus == asked(SAMPLES).nodes == 1


def test_a_slower_gpu_is_given_more_time():
    slow, fast = (asked(SDTT, gpu=gpu).minutes for gpu in ("rtx-4090", "h100"))
    assert slow - 240 == pytest.approx((fast - 240) * 989 / 165, rel=0.01)
    assert asked(SDTT, gpu="unheard-of") == asked(SDTT, gpu="a100")


def test_without_gpus_the_host_holds_all():
    one = asked(SDTT, "runtime.device=cpu")
    assert one.gpus == 0 and one.cpus == 4 and one.mem_mb > asked(SDTT).mem_mb + 20_000


def test_a_process_a_worker():
    tokenize = ("tokenize_pack", "data/corpus")
    assert asked(tokenize).cpus == 8 and asked(tokenize).gpus == 0 and asked(tokenize).mem_mb == 36_000
    assert asked(("synthetic", f"{RUN}/synthetic"), "synthetic.workers=3").cpus == 3


def test_a_shard_is_given_its_share_of_the_time():
    whole, part = (asked(("couple", f"{RUN}/couplings{shard}/teacher", "teacher")).minutes for shard in ("", "-1-of-8"))
    assert part - 240 == pytest.approx((whole - 240) / 8, rel=0.01)


def test_a_tokenizer_that_nobody_knows_yet_is_no_obstacle():
    assert asked(SDTT, "corpus.tokenizer=some/name").mem_mb > asked(SDTT).mem_mb

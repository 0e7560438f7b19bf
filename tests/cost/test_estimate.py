"""Costs, hours and chains of jobs made by hand, against other countings and published budgets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkout import ROOT
from hand_made import READS, RUN, estimated, experiment, job, model_file
from imdm.cost.estimate import Machine, estimate, longest_chain, ordered, table
from imdm.cost.known import judge_sizes
from imdm.cost.stages import model
from imdm.cost.work import Cost, micro_batch, together, training
from imdm.network.config import NetworkConfig
from imdm.network.sizes import Sizes
from imdm.params import Judge, Runtime, Sdtt, load_params
from imdm.stage.gpus import find_gpu

TEACHER, STUDENT = f"{RUN}/models/teacher", f"{RUN}/models/imdm/sdtt1-redi"


def lm1b(*sets: str):
    return load_params(ROOT / "presets/lm1b.yaml", list(sets))


# Jobs


def test_the_model_of_a_job():
    assert model(job("sample", f"{RUN}/samples/imdm/redi", model=model_file("imdm/redi"))) == "imdm/redi"
    assert model(job("sdtt", f"{RUN}/models/imdm/sdtt2", teacher=model_file("imdm/sdtt1"))) == "imdm/sdtt2"
    assert model(job("couple", f"{RUN}/couplings/teacher", teacher=model_file("teacher"))) == "teacher"
    assert model(job("plot", f"{RUN}/figures/figure02.png")) == ""


def test_jobs_come_after_what_they_wait_for():
    waits, done = ordered(experiment(lm1b())), set()
    for out, before in waits.items():
        assert done.issuperset(before)
        done.add(out)
    assert waits[STUDENT] == [f"{RUN}/couplings/imdm/sdtt1"] and waits["data/corpus"] == []


@st.composite
def graphs(draw) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Up to nine jobs that wait for earlier ones, and their seconds."""
    count = draw(st.integers(1, 9))
    waits = {str(i): [str(k) for k in range(i) if draw(st.booleans())] for i in range(count)}
    return waits, {name: float(draw(st.integers(1, 20))) for name in waits}


@given(graph=graphs())
@settings(deadline=None)
def test_the_longest_chain(graph):
    """By trying every chain."""
    waits, seconds = graph

    def longest(name: str) -> float:
        return seconds[name] + max(map(longest, waits[name]), default=0.0)

    chain = longest_chain(waits, seconds)
    assert all(before in waits[after] for before, after in zip(chain, chain[1:]))
    assert sum(seconds[name] for name in chain) == max(map(longest, waits))


# Costs


def test_training_passes_divide_the_batch():
    assert [micro_batch(512, most) for most in (None, 512, 511, 100, 1)] == [512, 512, 256, 64, 1]
    assert micro_batch(6, 4) == 3


def test_accumulated_passes_save_memory_and_no_operations():
    sizes = Sizes(NetworkConfig(vocab_size=50, mask_id=3, seq_len=24, hidden_size=32, blocks=2, heads=4, cond_dim=16, noise_dim=40))
    sdtt = Sdtt(steps=10, batch_size=64, rounds=1)
    whole, parts = (training(sizes, sdtt, Runtime(micro_batch=most)) for most in (None, 16))
    held = sizes.parameters * 28
    assert parts.memory - held == pytest.approx((whole.memory - held) / 4)
    assert whole.tokens == parts.tokens == 10 * 64 * 24
    assert parts.flops == pytest.approx(whole.flops, rel=0.05)


def test_parameters_of_the_judge():
    assert judge_sizes(Judge(stage="load_judge", model="gpt2", steps=1, batch_size=1), 0).parameters == 124_439_808
    assert judge_sizes(Judge(stage="load_judge", model="openai-community/gpt2-large", steps=1, batch_size=1), 0).parameters == 774_030_080


def test_a_job_of_several_parts_adds_work_and_has_the_largest_memory():
    parts = Cost(tokens=1, flops=2, memory=8, batch="a", disk=1), Cost(tokens=3, flops=4, memory=9, batch="b", gpus=2)
    assert together(*parts) == Cost(tokens=4, flops=6, memory=9, batch="b", disk=1, gpus=2)
    assert parts[0].times(3) == Cost(tokens=3, flops=6, memory=8, batch="a", disk=3)


def test_pretraining_budget_of_lm1b():
    costs = estimated(lm1b())
    teacher = costs.costs[TEACHER]
    assert teacher.tokens - 140 * 512 * 128 == 1_000_000 * 512 * 128 == 65_536_000_000
    assert costs.hours[TEACHER] * 3600 == pytest.approx(teacher.flops / 296.7e12)
    token = 3 * (12 * (24 * 768**2 + 4 * 128 * 768) + 768 * 30_522)
    assert teacher.flops == pytest.approx(65_536_000_000 * token, rel=2e-3)


def test_every_training_is_counted_by_its_own_settings():
    """Tokens: steps x batch x length; a validation besides, where the stage has one. An SDTT step reads the teacher twice."""
    params = lm1b()
    costs = {name: estimated(params).costs[f"{RUN}/models/imdm/{name}"] for name in ("sdtt1", "sdtt1-redi", "keyed", "finetune")}
    validation = params.pretrain.eval_batches * params.pretrain.eval_batch_size * 128
    for name, block, extra in (("sdtt1", params.sdtt, 0), ("sdtt1-redi", params.redi, 0), ("finetune", params.finetune, validation)):
        assert costs[name].tokens == block.steps * block.batch_size * 128 + extra
    tokens = costs["keyed"].flops / costs["keyed"].tokens, costs["sdtt1"].flops / costs["sdtt1"].tokens
    assert tokens[0] > tokens[1] > 1.5 * costs["sdtt1-redi"].flops / costs["sdtt1-redi"].tokens


def test_a_new_stage_is_counted_by_what_it_reads():
    """A training that reads `redi` costs what ReDi costs; one that reads nothing that is known is a small job without a GPU."""
    made = job("distill_more", f"{RUN}/models/imdm/more", init=model_file("imdm/redi"))
    jobs, machine = [*experiment(lm1b()), made, job("count_words", f"{RUN}/words")], Machine.of(find_gpu("h100"))
    costs = estimate(lm1b(), jobs, READS | {"distill_more": ("redi",), "count_words": ("run",)}, machine, ROOT / "nowhere")
    assert costs.costs[made.out] == costs.costs[STUDENT]
    assert costs.costs[f"{RUN}/words"].flops == 0 < costs.hours[f"{RUN}/words"]


def test_shards_divide_the_work():
    whole, part = (estimated(lm1b(f"shards.couplings={count}")).costs[f"{RUN}/couplings/imdm/sdtt1"] for count in (1, 8))
    assert part.flops == pytest.approx(whole.flops / 8) and part.disk == pytest.approx(whole.disk / 8) and part.memory == whole.memory


# Hours


def test_small_batches_take_as_long_as_their_kernels():
    machine = Machine.of(find_gpu("a100-80"), 100)
    assert machine.seconds(Cost(flops=1e15, blocks=10)) == pytest.approx(10)
    assert machine.seconds(Cost(flops=1e9, blocks=1000)) == pytest.approx(0.3)
    assert machine.seconds(Cost(flops=1e15, float32=1e15)) == pytest.approx(160)
    assert machine.seconds(Cost(flops=1e15, float32=5e14, cpu_seconds=7)) == pytest.approx(92)


def test_a_training_on_several_gpus_takes_its_share_of_the_time():
    alone, shared = estimated(lm1b()), estimated(lm1b("runtime.gpus=2", "runtime.nodes=2"))
    for out in (TEACHER, f"{RUN}/models/imdm/finetune"):
        assert shared.costs[out].gpus == 4 and shared.hours[out] == pytest.approx(alone.hours[out] / 4, rel=1e-3)
        assert shared.costs[out].tokens == alone.costs[out].tokens and shared.costs[out].memory < alone.costs[out].memory
    for stage in ("couple", "sample", "score"):
        (out,) = alone.of(stage)
        assert shared.costs[out].gpus == 1 and shared.hours[out] == alone.hours[out]


def test_too_many_gpus_wait_for_kernels():
    """12 blocks, forward and twice backward, of 0.3 ms each: less than 10.8 ms a step is not to be had."""
    costs = estimated(lm1b("runtime.gpus=512"))
    assert costs.hours[TEACHER] * 3600 == pytest.approx(1_000_140 * 36 * 3e-4, rel=1e-2)
    assert costs.gpu_hours("pretrain") == 512 * costs.hours[TEACHER]


def test_wall_time_is_bounded_by_work_and_by_the_longest_chain():
    costs = estimated(lm1b())
    assert costs.wall_hours(1) >= costs.gpu_hours() and costs.wall_hours(1000) == costs.chain_hours()
    assert TEACHER in costs.chain and costs.hours[TEACHER] < costs.chain_hours() < sum(costs.hours.values())
    assert "the work of all jobs over the GPUs" in table(costs, Machine.of(find_gpu("h100")), 1)
    assert "the longest chain of jobs" in table(costs, Machine.of(find_gpu("h100")), 1000)

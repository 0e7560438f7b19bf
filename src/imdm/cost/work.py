"""What one piece of work computes, holds in memory and leaves on disk: a training, a generation, an evaluation, a judging.

Operations and bytes of one pass come from `imdm.network.sizes`; how often it runs is counted here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from imdm.network.sizes import RESUME_FILE, TRAINED_FILE, TRAINING, JudgeSizes, Pass, Sizes, judge_step, noised, step_flops
from imdm.params import Judge, Optimizer, Runtime, Scoring


@dataclass(frozen=True)
class Cost:
    """Of a job or a part of it."""

    tokens: float = 0  # trained on, written by a sampler, read by a judge or by the tokenizer
    flops: float = 0  # operations on its GPUs together
    float32: float = 0  # how many of them run in full float32
    blocks: float = 0  # transformer blocks launched one after another on each GPU, backward counted twice
    memory: float = 0  # peak bytes on one GPU
    host: float = 0  # bytes of weights that each process holds at once outside its GPU, while it reads them
    batch: str = ""  # the parameter that lowers the memory
    disk: float = 0  # bytes of the artifact
    temporary: float = 0  # bytes of the resume checkpoint while it runs
    cpu_seconds: float = 0  # time without a GPU
    cpus: int = 1  # that work without a GPU
    gpus: int = 1  # over which its operations are spread evenly, where it has any

    def times(self, factor: float) -> Cost:
        """The same work so many times, or a share of it, with the same memory."""
        return replace(self, **{name: factor * getattr(self, name) for name in _WORK})


_WORK = ("tokens", "flops", "float32", "blocks", "disk", "cpu_seconds")


def together(*costs: Cost) -> Cost:
    """Costs one after another in one job."""
    sums = {name: sum(getattr(cost, name) for cost in costs) for name in _WORK}
    most = {name: max(getattr(cost, name) for cost in costs) for name in ("host", "temporary", "cpus", "gpus")}
    return replace(max(costs, key=lambda cost: cost.memory), **sums, **most)


def host_bytes(parameters: float, sets: int) -> float:
    """Of so many sets of float32 weights and the file that the last one is read from."""
    return 4 * (sets + 1) * parameters


def micro_batch(batch_size: int, most: int | None) -> int:
    """Rows of one training pass on one GPU: the largest divisor of the batch that is at most `most`, at least 1."""
    return next(n for n in range(max(1, min(batch_size, most or batch_size)), 0, -1) if batch_size % n == 0)


def training(sizes: Sizes, settings: Optimizer, runtime: Runtime, round_number: int = 1) -> Cost:
    """A training. On several GPUs each has an equal part of the batch; what they tell each other is not counted."""
    gpus, length = runtime.planned_gpus, sizes.config.seq_len
    size = max(1, settings.rows_per_sequence * settings.batch_size // gpus)
    rows = micro_batch(size, runtime.micro_batch)
    passes, teacher = size // rows, settings.teacher_passes(round_number)

    def flops(step: int) -> float:
        return step_flops(sizes, settings, step, size / settings.rows_per_sequence, passes, round_number)

    causal = settings.next_token_steps
    return Cost(
        tokens=gpus * settings.steps * size * length,
        flops=gpus * (causal * flops(0) + (settings.steps - causal) * flops(causal)),
        blocks=settings.steps * passes * sizes.config.blocks * (3 + teacher),
        memory=sizes.training_bytes(rows, teacher > 0, settings.rows_per_sequence > 1),
        host=host_bytes(sizes.parameters, 2 + (teacher > 0)),  # weights, average, teacher
        batch="runtime.micro_batch",
        disk=(RESUME_FILE if settings.leaves_optimizer(round_number) else TRAINED_FILE) * sizes.parameters,
        temporary=RESUME_FILE * sizes.parameters,
        gpus=gpus,
    )


def judge_training(judge: JudgeSizes, settings: Judge, length: int, runtime: Runtime) -> Cost:
    """A judge trained here, on next-token prediction."""
    gpus = runtime.planned_gpus
    size = max(1, settings.batch_size // gpus)
    rows = micro_batch(size, runtime.micro_batch)
    return Cost(
        tokens=settings.steps * settings.batch_size * length,
        flops=settings.steps * judge_step(judge, settings.batch_size, length),
        blocks=3 * settings.steps * judge.blocks * (size // rows),
        memory=judge.parameters * TRAINING + rows * length * judge.saved_bytes,
        host=host_bytes(judge.parameters, 2),
        batch="runtime.micro_batch",
        disk=TRAINED_FILE * judge.parameters,
        temporary=RESUME_FILE * judge.parameters,
        gpus=gpus,
    )


def evaluation(sizes: Sizes, batches: int, batch_size: int, batch: str) -> Cost:
    """A pass over noised blocks, such as the validation NELBO; `batch` names the parameter behind `batch_size`."""
    rows = batches * batch_size
    return Cost(
        tokens=rows * sizes.config.seq_len,
        flops=noised(sizes, rows, batches),
        blocks=batches * sizes.config.blocks,
        memory=sizes.evaluation_bytes(batch_size),
        host=host_bytes(sizes.parameters, 1),
        batch=batch,
    )


def judging(judge: JudgeSizes, texts: int, length: int, settings: Scoring) -> Cost:
    """Texts of up to `length` tokens read by a judge."""
    longest = min(length, settings.max_tokens or length)
    flops = texts * longest * judge.token_flops(longest)
    return Cost(
        tokens=texts * longest,
        flops=flops,
        float32=flops if settings.precision == "float32" else 0,
        blocks=-(-texts // settings.batch_size) * judge.blocks,
        memory=judge.parameters * 4 + min(texts, settings.batch_size) * longest * judge.held_bytes,
        host=host_bytes(judge.parameters, 1),
        batch="scoring.batch_size",
    )


def generation(sizes: Sizes, rows: int, steps: int, masked: int | None, batch_size: int, batch: str, file_bytes: float = 0) -> Cost:
    """`rows` sequences in `steps` steps from `masked` mask states each; None: blocks masked at t ~ U(0, 1).

    Args:
        batch: the parameter behind `batch_size`.
        file_bytes: what is kept of a sequence.
    """
    length = sizes.config.seq_len
    calls, embedded, heads = expected_work(steps, masked, length)
    # A batch goes on until its longest row is done.
    batch_calls = -(-rows // batch_size) * expected_calls(steps, masked or length)
    at_once = min(rows, batch_size)
    return Cost(
        tokens=rows * heads,
        flops=sizes.forward(Pass(rows * calls, rows * heads, rows * embedded, batch_calls)),
        blocks=batch_calls * sizes.config.blocks,
        memory=sizes.drawing_bytes(at_once, at_once * heads / calls),
        host=host_bytes(sizes.parameters, 1),
        batch=batch,
        disk=rows * file_bytes,
    )


def expected_calls(steps: int, masked: int) -> float:
    """Network calls of a row that starts with `masked` positions, which the sampler makes only in steps that unmask something.

    N equal steps put each masked position into a step that is uniform on 0..N-1, independently: the expected number of
    distinct steps.
    """
    return steps * (1 - (1 - 1 / steps) ** masked)


def expected_embedded(steps: int, masked: int) -> float:
    """Mask states embedded over all calls of a row.

    A position is embedded in its own step, and in each step before it that is some other position's.
    """
    return masked * (1 + (steps - 1) / 2 * (1 - (1 - 1 / steps) ** max(0, masked - 1)))


def perturbed(expectation: Callable[[int, int], float], steps: int, length: int) -> float:
    """Mean of `expectation(steps, n)` for a block masked at t ~ U(0, 1): n is then uniform on 0..L."""
    return sum(expectation(steps, n) for n in range(length + 1)) / (length + 1)


def expected_work(steps: int, masked: int | None, length: int) -> tuple[float, float, float]:
    """Calls, embedded mask states and drawn tokens of a row that starts with `masked` masks; None: with as many as t ~ U(0, 1) masks."""
    if masked is None:
        return perturbed(expected_calls, steps, length), perturbed(expected_embedded, steps, length), length / 2
    return expected_calls(steps, masked), expected_embedded(steps, masked), masked

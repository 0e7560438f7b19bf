"""What a training, a sampling and a scoring compute, hold in memory and leave on disk."""

from __future__ import annotations

from dataclasses import dataclass

from imdm.cost.events import expected_calls, expected_embedded, perturbed
from imdm.network.sizes import JudgeSizes, Pass, Sizes, next_token_step, noised, training_step
from imdm.params import Optimizer, Scoring

# Bytes a parameter. Training: weight, gradient, two Adam moments and moving average in float32, a copy in bfloat16.
TRAINING, INFERENCE = 22, 6
TRAINED_FILE, LOADED_FILE, RESUME_FILE = 8, 4, 16  # online and moving average; one set; both and Adam's moments
# Bytes a logit: of a chunk of the head, its loss and gradient; of SDTT's, with the target and the gap to it; of Di4C,
# which holds those of all its latents; of a float64 draw.
NLL_LOGIT, KL_LOGIT, MIXTURE_LOGIT, DRAW_LOGIT = 8, 24, 24, 44
CHUNK, DRAW_CHUNK = 2**27, 2**25  # most logits that a training and a draw hold at once on a GPU
ACTIVATION = 40  # bytes a token and unit of width that a forward pass holds at once


@dataclass(frozen=True)
class Cost:
    """Of one job.

    Attributes:
        tokens: trained on, written by a sampler, read by a judge or by the tokenizer.
        flops: operations on its GPUs together.
        float32: how many of them run in full float32.
        blocks: transformer blocks launched one after another on each of them, backward counted twice.
        memory: peak bytes on one GPU.
        disk: bytes of the artifact.
        temporary: bytes of the resume checkpoint while it runs.
        cpu_seconds: time of a job that uses no GPU; 0 for the others.
        gpus: over which its operations are spread evenly, where it has any.
    """

    tokens: float = 0
    flops: float = 0
    float32: float = 0
    blocks: float = 0
    memory: float = 0
    disk: float = 0
    temporary: float = 0
    cpu_seconds: float = 0
    gpus: int = 1


def micro_batch(batch_size: int, most: float | None) -> int:
    """Rows of one training pass on one GPU: the largest divisor of the batch that is at most `most`, at least 1."""
    return next(n for n in range(int(max(1, min(batch_size, most or batch_size))), 0, -1) if batch_size % n == 0)


def chunk_memory(shape: Sizes, rows: int, logit: int) -> float:
    """Bytes of the logits that exist at once where `rows` half masked sequences are projected in chunks."""
    return logit * min(CHUNK, rows * shape.config.seq_len / 2 * shape.config.vocab_size)


def training(
    shape: Sizes,
    settings: Optimizer,
    most: int | None,
    teacher_passes: float = 0,
    logit: int = NLL_LOGIT,
    kept: int = 0,
    causal: int = 0,
    gpus: int = 1,
    masked: float = 0.5,
) -> Cost:
    """A training on noised blocks: forward and backward take 3 forward passes.

    On several GPUs each has an equal part of the batch; what they tell each other is not counted.

    Args:
        most: runtime.micro_batch.
        teacher_passes: forward passes of a frozen teacher a row; together they compute each masked position's logits once.
        logit: bytes a logit of a chunk.
        kept: bytes a logit, where the loss holds them all.
        causal: leading steps of next-token prediction, which has logits at all positions and no masks.
        masked: share of the positions that are masked.
    """
    size = max(1, settings.batch_size // gpus)
    rows = micro_batch(size, most)
    passes = size // rows
    step = training_step(shape, size, passes, teacher_passes, masked)
    return Cost(
        tokens=gpus * settings.steps * size * shape.config.seq_len,
        flops=gpus * ((settings.steps - causal) * step + causal * next_token_step(shape, size, passes)),
        blocks=settings.steps * passes * shape.config.blocks * (3 + teacher_passes),
        memory=shape.parameters * (TRAINING + INFERENCE * (teacher_passes > 0))
        + rows * shape.saved_bytes(kept)
        + chunk_memory(shape, rows, logit),
        disk=TRAINED_FILE * shape.parameters,
        temporary=RESUME_FILE * shape.parameters,
        gpus=gpus,
    )


def generation(shape: Sizes, rows: int, steps: int, masked: int | None, batch_size: int, file_bytes: float) -> Cost:
    """`rows` sequences in `steps` steps from `masked` mask states each; None: blocks masked at t ~ U(0, 1).

    Args:
        file_bytes: what is kept of a sequence.
    """
    length = shape.config.seq_len
    if masked is None:
        calls, embedded = (perturbed(expectation, steps, length) for expectation in (expected_calls, expected_embedded))
        heads = length / 2
    else:
        calls, embedded, heads = expected_calls(steps, masked), expected_embedded(steps, masked), masked
    # A batch goes on until its longest row is done.
    batch_calls = -(-rows // batch_size) * expected_calls(steps, masked or length)
    at_once = min(rows, batch_size)
    states = at_once * length * shape.config.hidden_size * ACTIVATION
    return Cost(
        tokens=rows * heads,
        flops=shape.forward(Pass(rows * calls, rows * heads, rows * embedded, batch_calls)),
        blocks=batch_calls * shape.config.blocks,
        memory=shape.parameters * INFERENCE + states + DRAW_LOGIT * min(DRAW_CHUNK, at_once * heads / calls * shape.config.vocab_size),
        disk=rows * file_bytes,
    )


def evaluation(shape: Sizes, batches: int, batch_size: int) -> Cost:
    """The validation NELBO."""
    states = batch_size * shape.config.seq_len
    return Cost(
        tokens=batches * batch_size * shape.config.seq_len,
        flops=noised(shape, batches * batch_size, batches),
        blocks=batches * shape.config.blocks,
        memory=shape.parameters * INFERENCE + states * shape.config.hidden_size * ACTIVATION + chunk_memory(shape, batch_size, NLL_LOGIT),
    )


def judging(judge: JudgeSizes, texts: int, length: int, settings: Scoring) -> Cost:
    """Texts of up to `length` tokens read by a judge."""
    longest = min(length, settings.max_tokens or length)
    flops = texts * longest * judge.token_flops(longest)
    return Cost(
        tokens=texts * longest,
        flops=flops,
        blocks=-(-texts // settings.batch_size) * judge.blocks,
        float32=flops if settings.precision == "float32" else 0,
        memory=judge.parameters * 4 + min(texts, settings.batch_size) * longest * judge.held_bytes,
    )


def judge_training(judge: JudgeSizes, settings: Optimizer, length: int, most: int | None, gpus: int = 1) -> Cost:
    """A judge trained here, on next-token prediction."""
    size = max(1, settings.batch_size // gpus)
    rows = micro_batch(size, most)
    tokens = settings.steps * settings.batch_size * length
    return Cost(
        tokens=tokens,
        flops=3 * tokens * judge.token_flops(length),
        blocks=3 * settings.steps * judge.blocks * (size // rows),
        memory=judge.parameters * TRAINING + rows * length * judge.saved_bytes,
        disk=TRAINED_FILE * judge.parameters,
        temporary=RESUME_FILE * judge.parameters,
        gpus=gpus,
    )


def together(costs: list[Cost], times: float = 1) -> Cost:
    """Costs one after another in one job, all `times` times; what is kept counts once."""
    return Cost(
        tokens=times * sum(cost.tokens for cost in costs),
        flops=times * sum(cost.flops for cost in costs),
        blocks=times * sum(cost.blocks for cost in costs),
        float32=times * sum(cost.float32 for cost in costs),
        memory=max(cost.memory for cost in costs),
        disk=sum(cost.disk for cost in costs),
        temporary=max(cost.temporary for cost in costs),
        cpu_seconds=times * sum(cost.cpu_seconds for cost in costs),
        gpus=max(cost.gpus for cost in costs),
    )

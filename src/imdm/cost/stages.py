"""What each stage costs. It follows from the parameters that the stage reads; where it does not, the stage has a function below.

A block of parameters that is an `Optimizer` means a training, `sampling` the samples of a model, `pretrain.eval_batches` a
validation. A stage that makes a model without training it copies the weights, and any other takes `SMALL_JOB`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from imdm.cost.jobs import Job, model, shards, variant
from imdm.cost.known import Packed, judge_sizes, network_sizes
from imdm.cost.work import LOADED_FILE, NLL_LOGIT, Cost, evaluation, generation, judge_training, judging, together, training
from imdm.network.sizes import Pass, Sizes
from imdm.params import Optimizer, Params

MATCH_TRIALS = 7  # temperatures that match_entropy tries at each number of steps before it samples
HELD_OUT_TOKENS = 2**20  # for the perplexity of the judge itself
TOKENS_PER_SECOND = 200_000  # tokenizing, a worker
SEARCHED_PER_SECOND = 5_000_000  # tokens whose n-grams are looked up among those of samples
SMALL_JOB = 60.0  # seconds of a job that only reads, copies or draws

Reads = Mapping[str, tuple[str, ...]]  # keys of the parameters by stage


def trainings(params: Params, reads: tuple[str, ...]) -> list[str]:
    """The blocks of parameters that a stage trains by."""
    return [name for name in reads if isinstance(getattr(params, name, None), Optimizer)]


class StageCosts:
    """The costs of an experiment's jobs.

    Args:
        packed: tokens and vocabulary of its corpus.
        reads: what each stage reads of the parameters.
    """

    def __init__(self, params: Params, packed: Packed, reads: Reads):
        self.params, self.packed, self.reads, self.length = params, packed, reads, params.corpus.seq_len
        self.judge = judge_sizes(params.judge, packed.vocab_size)

    def of(self, job: Job) -> Cost:
        """The cost of a job."""
        whole = _OWN[job.stage](self, job) if job.stage in _OWN else self._by_reads(job)
        return whole.times(1 / shards(job))

    def sizes(self, job: Job) -> Sizes:
        """The network that a job is about."""
        return self._network(model(job))

    def _network(self, name: str) -> Sizes:
        return network_sizes(self.params, variant(name), self.packed.vocab_size)

    def sampling(self, job: Job, rows: int, masked: int, kept: bool = True) -> Cost:
        """Every number of steps in one job; tokens and the steps in which they came are kept as int32."""
        settings, size = self.params.sampling, (8 * self.length + 4) * kept
        runs = [(steps, masked, settings.batch_size, "sampling.batch_size", size) for steps in settings.steps]
        return together(*(generation(self.sizes(job), rows, *run) for run in runs))

    def judging(self, texts: int, length: int) -> Cost:
        return judging(self.judge, texts, length, self.params.scoring)

    def _by_reads(self, job: Job) -> Cost:
        params, reads = self.params, self.reads[job.stage]
        parts = [self._training(job, block) for block in trainings(params, reads)]
        if "sampling" in reads:
            parts.append(self.sampling(job, params.sampling.count, self.length))
        if {"pretrain", "pretrain.eval_batches"} & {*reads}:
            settings = params.pretrain
            parts.append(evaluation(self.sizes(job), settings.eval_batches, settings.eval_batch_size, "pretrain.eval_batch_size"))
        if "/models/" in job.out and not trainings(params, reads):
            parts.append(Cost(disk=LOADED_FILE * self.sizes(job).parameters, cpu_seconds=SMALL_JOB))
        return together(*parts) if parts else Cost(cpu_seconds=SMALL_JOB)

    def _training(self, job: Job, block: str) -> Cost:
        settings, runtime = getattr(self.params, block), self.params.runtime
        if block == "judge":
            return judge_training(self.judge, settings, self.length, runtime)
        return training(self.sizes(job), settings, runtime, int(job.arguments.get("round", 1)))


def _tokenize_pack(costs: StageCosts, job: Job) -> Cost:
    tokens = costs.packed.tokens
    return Cost(tokens, disk=2 * tokens, cpu_seconds=tokens / TOKENS_PER_SECOND / costs.params.corpus.workers)


def _load_judge(costs: StageCosts, job: Job) -> Cost:
    return costs.judging(max(1, HELD_OUT_TOKENS // costs.length), costs.length)


def _couple(costs: StageCosts, job: Job) -> Cost:
    settings, pair = costs.params.couplings, 5 * costs.length + 16
    return generation(costs.sizes(job), settings.pairs, settings.steps, None, settings.batch_size, "couplings.batch_size", pair)


def _complete(costs: StageCosts, job: Job) -> Cost:
    settings = costs.params.conditional
    return costs.sampling(job, settings.prompts * settings.completions, costs.length - settings.prompt_tokens)


def _match_entropy(costs: StageCosts, job: Job) -> Cost:
    final, trial = costs.params.sampling.count, costs.params.matching.count
    trials = costs.sampling(job, final, costs.length, kept=False).times(MATCH_TRIALS * trial / final)
    return together(costs.sampling(job, final, costs.length), trials)


def _reference(costs: StageCosts, job: Job) -> Cost:
    """As many blocks as samples, and the beginnings of the prompts' blocks."""
    settings = costs.params.conditional
    prompts = costs.judging(settings.prompts, min(settings.scored_tokens, costs.length))
    return together(costs.judging(costs.params.sampling.count, costs.length), prompts)


def _score(costs: StageCosts, job: Job) -> Cost:
    settings, steps = costs.params.conditional, len(costs.params.sampling.steps)
    if "/conditional/" in job.out:
        return costs.judging(steps * settings.prompts * settings.completions, settings.scored_tokens)
    return costs.judging(steps * costs.params.sampling.count, costs.length)


def _frontier(costs: StageCosts, job: Job) -> Cost:
    """Samples at every number of steps and temperature, then the judge beside the network; four numbers a sample are kept."""
    count, temperatures = costs.params.frontier.count, len(costs.params.temperatures())
    texts = temperatures * len(costs.params.sampling.steps) * count
    samples = costs.sampling(job, count, costs.length).times(temperatures)
    judged = costs.judging(texts, costs.length)
    return replace(together(samples, judged), tokens=samples.tokens, memory=samples.memory + judged.memory, disk=32 * texts)


def _audit(costs: StageCosts, job: Job) -> Cost:
    """The search of the training text; new pairs, and what model and teacher make of them and of seen ones, with two noises."""
    settings, sizes, batch = costs.params.audit, costs.sizes(job), "audit.batch_size"
    drawn = generation(sizes, settings.pairs, costs.params.couplings.steps, None, settings.batch_size, batch)
    predicted = evaluation(sizes, -(-settings.pairs // settings.batch_size), settings.batch_size, batch)
    search = Cost(cpu_seconds=costs.packed.tokens * len(settings.n) / SEARCHED_PER_SECOND)
    logits = NLL_LOGIT * settings.batch_size * costs.length / 2 * costs.packed.vocab_size  # of a batch, all at once
    memory = max(drawn.memory, predicted.memory + logits)
    return replace(together(drawn, predicted.times(8), search), memory=memory, disk=0)


def _factorization(costs: StageCosts, job: Job) -> Cost:
    """The teacher writes each position in a call of its own; it and the student read every transition, the student M times."""
    settings, student, teacher = costs.params.factorization, costs.sizes(job), costs._network("teacher")
    draws = 1 if student.config.mask == "single" else settings.noise_draws[-1]
    batches, positions = -(-settings.sequences // settings.batch_size), settings.sequences * costs.length
    run = (settings.sequences, costs.length, costs.length, settings.batch_size, "factorization.batch_size")
    parts = [generation(teacher, *run)] * len(settings.steps)
    for steps in settings.steps:
        whole, calls = settings.sequences * min(steps, costs.length), batches * steps
        chain = Pass(whole, positions, 0, calls)
        read = Pass(draws * whole, draws * positions, draws * whole * costs.length / 2, draws * calls)
        blocks = calls * (teacher.config.blocks + draws * student.config.blocks)
        parts.append(Cost(flops=teacher.forward(chain) + student.forward(read), blocks=blocks))
    return together(*parts)


_OWN: dict[str, Callable[[StageCosts, Job], Cost]] = {
    "tokenize_pack": _tokenize_pack,
    "load_judge": _load_judge,
    "couple": _couple,
    "complete": _complete,
    "match_entropy": _match_entropy,
    "reference": _reference,
    "score": _score,
    "frontier": _frontier,
    "audit": _audit,
    "factorization": _factorization,
}

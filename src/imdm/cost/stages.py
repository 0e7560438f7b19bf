"""What each stage costs. It follows from the parameters that the stage reads, or from a method stage_NAME below.

A block of parameters that is an `Optimizer` means a training, `sampling` the samples of a model, `pretrain.eval_batches` a
validation. A stage that makes a model without training it copies the weights, and any other takes `SMALL_JOB`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from imdm.cost.known import judge_sizes, network_sizes, packed
from imdm.cost.work import Cost, evaluation, generation, host_bytes, judge_training, judging, together, training
from imdm.network.sizes import LOADED_FILE, Sizes
from imdm.params import TEACHER, Optimizer, Params

MATCH_TRIALS = 7  # temperatures that match_entropy tries at each number of steps before it samples
HELD_OUT_TOKENS = 2**16  # for the perplexity of the judge itself
TOKENS_PER_SECOND = 200_000  # tokenizing, a worker
SEARCHED_PER_SECOND = 5_000_000  # tokens whose n-grams are looked up among those of samples
CONTROLS = 4  # texts of so many kinds that no model wrote
SMALL_JOB = Cost(cpu_seconds=60)  # reads, copies or draws, or trains on a small language

Reads = Mapping[str, tuple[str, ...]]  # keys of the parameters by stage


class Job(Protocol):
    """One run of a stage. Its `out` is its name; it waits for the jobs that make its inputs."""

    stage: str  # name of the script
    out: str  # file or folder that it makes
    arguments: Mapping[str, str | list[str]]  # values by the name of the flag, without dashes
    inputs: Sequence[str]  # files
    outputs: Sequence[str]


def argument(job: Job, name: str) -> str:
    """The value of a flag; empty where the job has it not, or with several values."""
    value = job.arguments.get(name, "")
    return value if isinstance(value, str) else ""


def model(job: Job) -> str:
    """The model that a job reads or makes: `teacher`, VARIANT/RECIPE or public/NAME; empty where there is none."""
    for path in (argument(job, "model"), job.out, argument(job, "teacher")):
        if "/models/" in path:
            return path.partition("/models/")[2].removesuffix("/model.safetensors")
    return ""


def shards(job: Job) -> int:
    """Into how many jobs its work is divided, of which this is one."""
    return int(argument(job, "shard").partition("/")[2] or 1)


def trainings(params: Params, reads: tuple[str, ...]) -> list[str]:
    """The blocks of parameters that a stage trains by."""
    return [name for name, block in params if name in reads and isinstance(block, Optimizer)]


class StageCosts:
    """The costs of an experiment's jobs.

    Args:
        reads: what each stage reads of the parameters.
        root: the project's folder, whose packed corpus is read where it is there.
        unknown: the vocabulary to take for one that is not known.

    Raises:
        UserError: the vocabulary of the tokenizer is not known yet.
    """

    def __init__(self, params: Params, reads: Reads, root: Path, unknown: int | None = None):
        self.params, self.reads, self.length = params, reads, params.corpus.seq_len
        self.tokens, self.vocab_size = packed(params.corpus, root, unknown)
        self.judge = judge_sizes(params.judge, self.vocab_size)

    def of(self, job: Job) -> Cost:
        """The cost of a job."""
        whole = getattr(self, f"stage_{job.stage}", self._by_reads)(job)
        return whole.times(1 / shards(job))

    def _by_reads(self, job: Job) -> Cost:
        params, reads = self.params, self.reads[job.stage]
        blocks = trainings(params, reads)
        parts = [self._trained(job, block) for block in blocks]
        if "sampling" in reads:
            parts.append(self._sampled(job, params.sampling.count, self.length))
        if {"pretrain", "pretrain.eval_batches"} & {*reads}:
            settings = params.pretrain
            parts.append(evaluation(self._network(job), settings.eval_batches, settings.eval_batch_size, "pretrain.eval_batch_size"))
        if "/models/" in job.out and not blocks:
            weights = self._network(job).parameters
            parts.append(replace(SMALL_JOB, disk=LOADED_FILE * weights, host=host_bytes(weights, 2)))
        return together(*parts) if parts else SMALL_JOB

    def _network(self, job: Job) -> Sizes:
        return network_sizes(self.params, model(job), self.vocab_size)

    def _trained(self, job: Job, block: str) -> Cost:
        settings, runtime = dict(self.params)[block], self.params.runtime
        if block == "redi" and "variant" in job.arguments:
            settings = self.params.redi_settings(argument(job, "variant"))
        if block == "judge":
            return judge_training(self.judge, settings, self.length, runtime)
        return training(self._network(job), settings, runtime, int(argument(job, "round") or 1))

    def _sampled(self, job: Job, rows: int, masked: int, kept: bool = True) -> Cost:
        """Every number of steps in one job; tokens and the steps in which they came are kept as int32."""
        settings, sizes, size = self.params.sampling, self._network(job), (8 * self.length + 4) * kept
        counts = [int(argument(job, "steps"))] if "steps" in job.arguments else settings.steps
        runs = [(steps, masked, settings.batch_size, "sampling.batch_size", size) for steps in counts]
        return together(*(generation(sizes, rows, *run) for run in runs))

    def _judged(self, texts: int, length: int) -> Cost:
        return judging(self.judge, texts, length, self.params.scoring)

    def stage_tokenize_pack(self, job: Job) -> Cost:
        workers = self.params.corpus.workers
        return Cost(self.tokens, disk=2 * self.tokens, cpu_seconds=self.tokens / TOKENS_PER_SECOND / workers, cpus=workers)

    def stage_synthetic(self, job: Job) -> Cost:
        return replace(SMALL_JOB, cpus=self.params.synthetic.workers)

    def stage_load_judge(self, job: Job) -> Cost:
        return self._judged(max(1, HELD_OUT_TOKENS // self.length), self.length)

    def stage_couple(self, job: Job) -> Cost:
        settings, pair = self.params.couplings, 5 * self.length + 16
        return generation(self._network(job), settings.pairs, settings.steps, None, settings.batch_size, "couplings.batch_size", pair)

    def stage_complete(self, job: Job) -> Cost:
        settings = self.params.conditional
        return self._sampled(job, settings.prompts * settings.completions, self.length - settings.prompt_tokens)

    def stage_match_entropy(self, job: Job) -> Cost:
        final, trial = self.params.sampling.count, self.params.matching.count
        trials = self._sampled(job, final, self.length, kept=False).times(MATCH_TRIALS * trial / final)
        return together(self._sampled(job, final, self.length), trials)

    def stage_reference(self, job: Job) -> Cost:
        """As many blocks as samples, and the beginnings of the prompts' blocks."""
        settings = self.params.conditional
        prompts = self._judged(settings.prompts, min(settings.scored_tokens, self.length))
        return together(self._judged(self.params.sampling.count, self.length), prompts)

    def stage_controls(self, job: Job) -> Cost:
        return self._judged(CONTROLS * self.params.sampling.count, self.length)

    def stage_score(self, job: Job) -> Cost:
        settings, steps = self.params.conditional, 1 if re.search(r"/at\d+/", job.out) else len(self.params.sampling.steps)
        if "/conditional/" in job.out:
            return self._judged(steps * settings.prompts * settings.completions, settings.scored_tokens)
        return self._judged(steps * self.params.sampling.count, self.length)

    def stage_frontier(self, job: Job) -> Cost:
        """Samples at every number of steps and temperature, then the judge beside the network; four numbers a sample are kept."""
        count, temperatures = self.params.frontier.count, len(self.params.temperatures())
        texts = temperatures * len(self.params.sampling.steps) * count
        samples, judged = self._sampled(job, count, self.length).times(temperatures), self._judged(texts, self.length)
        both = {name: getattr(samples, name) + getattr(judged, name) for name in ("memory", "host")}
        return replace(together(samples, judged), tokens=samples.tokens, disk=32 * texts, **both)

    def stage_audit(self, job: Job) -> Cost:
        """The search of the training text; new pairs, and what model and teacher make of them and of seen ones, with two noises."""
        settings, sizes, batch = self.params.audit, self._network(job), "audit.batch_size"
        drawn = generation(sizes, settings.pairs, self.params.couplings.steps, None, settings.batch_size, batch)
        predicted = evaluation(sizes, -(-settings.pairs // settings.batch_size), settings.batch_size, batch)
        predicted = replace(predicted.times(8), memory=sizes.evaluation_bytes(settings.batch_size, chunked=False))
        return together(drawn, predicted, Cost(cpu_seconds=self.tokens * len(settings.n) / SEARCHED_PER_SECOND))

    def stage_factorization(self, job: Job) -> Cost:
        """The teacher writes each position in a call of its own; it and the student read every transition, the student M times."""
        settings, student, batch = self.params.factorization, self._network(job), "factorization.batch_size"
        teacher = network_sizes(self.params, TEACHER, self.vocab_size)
        chains = generation(teacher, settings.sequences, self.length, self.length, settings.batch_size, batch)
        batches = sum(settings.steps) * -(-settings.sequences // settings.batch_size)
        draws = 1 if student.config.mask == "single" else settings.noise_draws[-1]
        read = [evaluation(sizes, times * batches, settings.batch_size, batch) for sizes, times in ((teacher, 1), (student, draws))]
        return together(chains.times(len(settings.steps)), *read)

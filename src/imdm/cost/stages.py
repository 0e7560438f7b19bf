"""What each stage costs in an experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from imdm.cost.cost import (
    KL_LOGIT,
    LOADED_FILE,
    MIXTURE_LOGIT,
    NLL_LOGIT,
    Cost,
    evaluation,
    generation,
    judge_training,
    judging,
    together,
    training,
)
from imdm.cost.data import Packed
from imdm.cost.jobs import Job
from imdm.cost.judge import judge_shape
from imdm.cost.network import network_config
from imdm.exhibits.plan import TEACHER
from imdm.network.sizes import Pass, Sizes
from imdm.params import PUBLIC, Chain, Dictionary, Params, parse_recipe

MATCH_TRIALS = 7  # temperatures that match tries at each number of steps before it samples
HELD_OUT_TOKENS = 2**20  # for the perplexity of the judge itself
TOKENS_PER_SECOND = 200_000  # tokenizing, a worker
SEARCHED_PER_SECOND = 5_000_000  # tokens whose n-grams are looked up among those of samples
SYNTHETIC_STEP = 0.02  # seconds of a training step of the synthetic task, on a CPU
CHAIN_STEP = 0.03  # the same of the Markov chain task, whose sequences are longer
SMALL_JOB = 60.0  # seconds of a job that only reads, copies or draws


def gpus_of_a_training(params: Params) -> int:
    """GPUs that train one network together; without `runtime.devices` one, as the Slurm profile asks for."""
    return (params.runtime.devices or 1) * params.runtime.nodes


def _small_steps(settings: Dictionary | Chain, models: list[str]) -> int:
    """Training steps of a teacher and its students; a noise-driven student counts the sampling of its many couplings too."""
    lengths = {"mdm": settings.random.steps, "imdm": settings.random.steps, "keyed": settings.keyed.steps * settings.keyed.teacher_steps}
    return settings.teacher_steps + sum(lengths.get(name, 2 * settings.driven.steps) for name in models)


class StageCosts:
    """The costs of an experiment's jobs.

    Args:
        packed: tokens and vocabulary of its corpus.
    """

    def __init__(self, params: Params, packed: Packed):
        self.params, self.packed, self.length = params, packed, params.corpus.seq_len
        together_on = {"most": params.runtime.micro_batch, "gpus": gpus_of_a_training(params)}
        self._train = partial(training, **together_on)
        self.judge = judge_shape(params.judge, packed.vocab_size)
        self._of: dict[str, Callable[[Job], Cost]] = {
            "tokenize_pack": self._tokenize_pack,
            "pretrain": lambda job: together(
                [self._train(self.shape(job), params.pretrain, causal=params.pretrain.warm_start), self._evaluation(job)]
            ),
            "finetune": lambda job: together([self._train(self.shape(job), params.finetune), self._evaluation(job)]),
            "load_mdlm": lambda job: together([self._evaluation(job), self._copy(job)]),
            "adopt": self._copy,
            "sdtt": lambda job: self._train(self.shape(job), params.sdtt, teacher_passes=2, logit=KL_LOGIT),
            "di4c": self._di4c,
            "keyed": lambda job: self._train(
                self.shape(job),
                params.keyed,
                teacher_passes=params.keyed.teacher_passes(),
                logit=KL_LOGIT,
                masked=(1 + params.keyed.from_start) / 2,
            ),
            "couple": self._couple,
            "redi": lambda job: self._train(self.shape(job), params.redi),
            "sample": lambda job: self._sampling(job, params.sampling.count, self.length),
            "complete": self._complete,
            "match": self._match,
            "train_judge": lambda job: judge_training(self.judge, params.judge, self.length, **together_on),
            "load_judge": lambda job: judging(self.judge, max(1, HELD_OUT_TOKENS // self.length), self.length, params.scoring),
            "reference": self._reference,
            "score": self._score,
            "factorization": self._factorization,
            "frontier": self._frontier,
            "audit": self._audit,
            "synthetic": self._synthetic,
            "dictionary": self._dictionary,
            "chain": self._chain,
        }

    def of(self, job: Job) -> Cost:
        """The cost of a job; one that only draws tables and figures takes `SMALL_JOB` and nothing else."""
        whole = self._of[job.stage](job) if job.stage in self._of else Cost(cpu_seconds=SMALL_JOB)
        share = 1 / job.shards
        divided = {"tokens": whole.tokens, "flops": whole.flops, "float32": whole.float32, "blocks": whole.blocks, "disk": whole.disk}
        return replace(whole, **{name: share * value for name, value in divided.items()})

    def shape(self, job: Job) -> Sizes:
        """The network that a job is about: the teacher and public checkpoints have a single mask."""
        variant = None if job.model == TEACHER or job.model.startswith(f"{PUBLIC}/") else job.model.partition("/")[0]
        return Sizes(network_config(self.params, variant, self.packed.vocab_size))

    def _evaluation(self, job: Job) -> Cost:
        return evaluation(self.shape(job), self.params.pretrain.eval_batches, self.params.pretrain.eval_batch_size)

    def _copy(self, job: Job) -> Cost:
        return Cost(disk=LOADED_FILE * self.shape(job).parameters, cpu_seconds=SMALL_JOB)

    def _di4c(self, job: Job) -> Cost:
        """A row is M passes of the student with a gradient and M without, and the teacher's: one, or M of a mixture."""
        settings, latents = self.params.di4c, self.params.di4c.latents
        teacher = latents if parse_recipe(job.model.partition("/")[2]).di4c > 1 else 1
        wide = settings.model_copy(update={"batch_size": settings.batch_size * latents})
        return self._train(self.shape(job), wide, teacher_passes=1 + teacher / latents, kept=MIXTURE_LOGIT)

    def _couple(self, job: Job) -> Cost:
        settings = self.params.couplings
        masked = None if settings.start == "perturbed" else self.length
        return generation(self.shape(job), settings.pairs, settings.steps, masked, settings.batch_size, 5 * self.length + 16)

    def _sampling(self, job: Job, rows: int, masked: int) -> Cost:
        """Every number of steps in one job; tokens and the steps in which they came are kept as int32."""
        shape, settings = self.shape(job), self.params.sampling
        return together([generation(shape, rows, steps, masked, settings.batch_size, 8 * self.length + 4) for steps in settings.steps])

    def _complete(self, job: Job) -> Cost:
        settings = self.params.conditional
        return self._sampling(job, settings.prompts * settings.completions, self.length - settings.prompt_tokens)

    def _match(self, job: Job) -> Cost:
        final = self.params.sampling.count
        trials = MATCH_TRIALS * self.params.matching.count / final
        return together([self._sampling(job, final, self.length)], 1 + trials)

    def _reference(self, job: Job) -> Cost:
        """As many blocks as samples, and the beginnings of the prompts' blocks."""
        settings, scoring = self.params.conditional, self.params.scoring
        prompts = judging(self.judge, settings.prompts, min(settings.scored_tokens, self.length), scoring)
        return together([judging(self.judge, self.params.sampling.count, self.length, scoring), prompts])

    def _score(self, job: Job) -> Cost:
        steps, settings = len(self.params.sampling.steps), self.params.conditional
        if job.out.startswith("conditional/"):
            return judging(self.judge, steps * settings.prompts * settings.completions, settings.scored_tokens, self.params.scoring)
        return judging(self.judge, steps * self.params.sampling.count, self.length, self.params.scoring)

    def _frontier(self, job: Job) -> Cost:
        """Samples at every number of steps and temperature, then the judge beside the network; four numbers a sample are kept."""
        count, temperatures = self.params.frontier.count, len(self.params.temperatures())
        texts = temperatures * len(self.params.sampling.steps) * count
        samples = together([self._sampling(job, count, self.length)], temperatures)
        judged = judging(self.judge, texts, self.length, self.params.scoring)
        both = together([samples, judged])
        return replace(both, tokens=samples.tokens, memory=samples.memory + judged.memory, disk=32 * texts)

    def _audit(self, job: Job) -> Cost:
        """The search of the training text; new pairs, and what model and teacher make of them and of seen ones, with two noises."""
        settings, couplings = self.params.audit, self.params.couplings
        masked = None if couplings.start == "perturbed" else self.length
        drawn = generation(self.shape(job), settings.pairs, couplings.steps, masked, settings.batch_size, 0)
        predicted = evaluation(self.shape(job), -(-settings.pairs // settings.batch_size), settings.batch_size)
        search = self.packed.tokens * len(settings.n) / SEARCHED_PER_SECOND
        logits = NLL_LOGIT * settings.batch_size * self.length / 2 * self.packed.vocab_size  # of a batch, all at once
        memory = max(drawn.memory, predicted.memory + logits)
        return replace(together([drawn, *[predicted] * 8]), memory=memory, cpu_seconds=search)

    def _tokenize_pack(self, job: Job) -> Cost:
        tokens = self.packed.tokens
        return Cost(tokens, disk=2 * tokens, cpu_seconds=tokens / TOKENS_PER_SECOND / self.params.corpus.workers)

    def _factorization(self, job: Job) -> Cost:
        """The teacher writes each position in a call of its own; it and the student read every transition, the student M times."""
        settings, shape = self.params.factorization, self.shape(job)
        teacher = self.shape(replace(job, model=TEACHER))
        draws = 1 if shape.config.mask == "single" else settings.noise_draws[-1]
        found = []
        for steps in settings.steps:
            chain, whole = settings.sequences * self.length, settings.sequences * min(steps, self.length)
            calls = -(-settings.sequences // settings.batch_size)
            found.append(generation(teacher, settings.sequences, self.length, self.length, settings.batch_size, 0))
            written = Pass(whole, chain, 0, calls * steps)
            read = Pass(draws * whole, draws * chain, draws * whole * self.length / 2, draws * calls * steps)
            blocks = calls * steps * (teacher.config.blocks + draws * shape.config.blocks)
            found.append(Cost(flops=teacher.forward(written) + shape.forward(read), blocks=blocks))
        return together(found)

    def _dictionary(self, job: Job) -> Cost:
        """Teacher and students of every cell and seed."""
        settings = self.params.dictionary
        steps = sum(_small_steps(settings, cell.models) for cell in settings.cells)
        return Cost(cpu_seconds=SYNTHETIC_STEP * steps * len(settings.seeds) / settings.workers)

    def _chain(self, job: Job) -> Cost:
        settings = self.params.chain
        steps = _small_steps(settings, settings.models)
        return Cost(cpu_seconds=CHAIN_STEP * steps * len(settings.seeds) / settings.workers)

    def _synthetic(self, job: Job) -> Cost:
        settings = self.params.synthetic
        steps = settings.teacher_steps + 2 * settings.random.steps + settings.driven.steps
        return Cost(cpu_seconds=SYNTHETIC_STEP * steps * len(settings.seeds) / settings.workers)

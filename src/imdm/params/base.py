"""What several blocks share: bounded numbers, names, mask settings, languages, seeds, runtime."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from imdm.files import STRICT
from imdm.params.names import RESERVED


def _unreserved(name: str) -> str:
    if name.endswith(RESERVED):
        raise ValueError(f"{name!r} ends in {' or '.join(RESERVED)}, as what lies beside stages' outputs; choose another name")
    return name


def _fits(value: int) -> int:
    if value >= 2**31:  # so that no product of two overflows
        raise ValueError("must be less than 2^31")
    return value


Positive = Annotated[int, Field(gt=0), AfterValidator(_fits)]
NonNegative = Annotated[int, Field(ge=0), AfterValidator(_fits)]
AtLeastTwo = Annotated[int, Field(ge=2), AfterValidator(_fits)]
Rounds = Annotated[int, Field(gt=0, le=100)]
Processes = Annotated[int, Field(gt=0, le=1024)]
PositiveFloat = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=4096)]  # of a path, and what a command line may hold
Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*([.-][a-z0-9_]+)*$", max_length=100), AfterValidator(_unreserved)]

MaskKind = Literal["single", "infinite", "finite", "gumbel"]
CARRIED_BITS = 32  # of a key, which say when its position is unmasked and which token it gets: the first of Rademacher noise
NoiseDist = Literal["uniform", "gaussian", "rademacher"]
Draws = Literal["independent", "from_noise_in_order"]
Precision = Literal["float32", "bfloat16"]
RediKeys = Literal["stored", "fresh"]
Weights = Literal["ema", "online"]


class Block(BaseModel):
    """A group of parameters; refuses keys that it does not know, and takes no value for one of another type."""

    model_config = STRICT | ConfigDict(frozen=True)


class Seeds(Block):
    data: NonNegative = Field(0, description="document split and block order")
    train: NonNegative = Field(0, description="initial weights, batches, masks and dropout of every training")
    couplings: NonNegative = Field(0, description="the teacher's draws for couplings")
    sampling: NonNegative = Field(0, description="the draws of the sample stage, and which prompts are completed")
    scoring: NonNegative = Field(0, description="reference text, bootstrap and MAUVE's k-means")


class MaskSettings(Block):
    """What a mask state looks like to the network (paper Eq. 15, Tab. 3, Tab. 11)."""

    mask: MaskKind = Field(
        "infinite", description="single: MDLM; infinite: IMDM; finite: a table of embeddings; gumbel: the tokens that Gumbel noise favours"
    )
    noise_dim: Positive = Field(256, description="d_noise, length of the noise vector of a mask state; gumbel: how many tokens it shows")
    noise_dist: NoiseDist = Field("uniform", description="uniform on (-1, 1), standard Gaussian, or rademacher: -1 or 1")
    noise_scale: PositiveFloat = Field(1.0, description="factor on the noise")
    finite_masks: Positive = Field(6144, description="number of mask embeddings of mask: finite")


class RediOverride(Block):
    """What a variant replaces of `redi`."""

    steps: Positive | None = Field(None, description="replaces redi.steps")
    keys: RediKeys | None = Field(None, description="replaces redi.keys")


class LanguageSettings(Block):
    """A language whose every probability is known; which keys matter depends on its kind."""

    language: Literal["words", "chain", "stories"] | None = Field(
        None, description="words: K words of letters; chain: a Markov chain of states; stories: sentences in which names and things agree"
    )
    words: Annotated[int, Field(ge=2)] = Field(16, description="K, number of words (words)")
    length: Annotated[int, Field(ge=2, le=12)] = Field(4, description="letters of a word, states of a text (words, chain)")
    letters: Annotated[int, Field(ge=2, le=26)] = Field(26, description="size of the alphabet (words)")
    states: Annotated[int, Field(ge=2, le=64)] = Field(16, description="number of states (chain)")
    entropy_rate: PositiveFloat = Field(1.1, description="entropy of a state given the one before it, in nats (chain)")
    language_seed: NonNegative = Field(0, description="which words or transitions are drawn (words, chain)")

    def alone(self) -> LanguageSettings:
        """Without what a corpus has besides."""
        return LanguageSettings(**{name: getattr(self, name) for name in LanguageSettings.model_fields})

    @model_validator(mode="after")
    def _possible(self) -> LanguageSettings:
        if self.words > self.letters**self.length and self.language == "words":
            raise ValueError(f"words is {self.words}, but there are only letters^length = {self.letters**self.length}")
        low, high = 0.2 * math.log(self.states), 0.95 * math.log(self.states)
        if not low <= self.entropy_rate <= high and self.language == "chain":
            raise ValueError(f"entropy_rate is {self.entropy_rate}; of {self.states} states it must be {low:.2f} to {high:.2f} nats")
        return self


class VariantOverride(Block):
    """Top-level mask settings, and those of ReDi, that a variant replaces; what it leaves out keeps the top-level value."""

    mask: MaskKind | None = Field(None, description="replaces mask")
    noise_dim: Positive | None = Field(None, description="replaces noise_dim")
    noise_dist: NoiseDist | None = Field(None, description="replaces noise_dist")
    noise_scale: PositiveFloat | None = Field(None, description="replaces noise_scale")
    finite_masks: Positive | None = Field(None, description="replaces finite_masks")
    redi: RediOverride = Field(RediOverride(), description="replaces some of redi, for the variant's rectified students")


class Runtime(Block):
    """How a stage runs; nothing here changes its result beyond rounding."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    precision: Literal["auto", Precision] = Field("auto", description="of the network's body; auto: bfloat16 on cuda")
    gpus: Positive = Field(1, description="GPUs of a node that train one network together (DDP); on cpu, processes")
    nodes: Positive = Field(1, description="nodes that train one network together; Snakemake starts them by Slurm")
    micro_batch: Positive | None = Field(
        None, description="most sequences in one training pass of a device; smaller passes are accumulated to the batch; null: all at once"
    )
    threads: Annotated[int, Field(ge=0, le=1024)] = Field(0, description="torch threads; 0: all cores")
    compile: Literal["auto"] | bool = Field(
        "auto", description="compile the network's blocks (torch.compile; other dropout draws); auto: on cuda, where a compiler is found"
    )
    cuda_graphs: Literal["auto"] | bool = Field(
        "auto", description="record the compiled blocks of sampling and couplings as CUDA graphs; auto: of couplings; no effect on cpu"
    )
    deterministic: bool = Field(False, description="torch.use_deterministic_algorithms")
    checkpoint_seconds: PositiveFloat = Field(60.0, description="time between the checkpoints of a training")
    lock: bool = Field(True, description="a stage waits for another process that writes its output; false: the file system has no flock")
    loggers: list[Literal["tensorboard", "dvclive", "trackio", "wandb"]] = Field(
        [], description="where trainings log besides CSV, by Lightning's loggers; trackio and wandb are installed by hand"
    )

    @property
    def planned_gpus(self) -> int:
        """GPUs that train one network together, on all nodes."""
        return self.gpus * self.nodes


class Shards(Block):
    """Parallel jobs of one generation; the result does not depend on their number."""

    couplings: Positive = Field(1, description="jobs that make a teacher's couplings")
    samples: Positive = Field(1, description="jobs that sample a model, or complete its prompts")

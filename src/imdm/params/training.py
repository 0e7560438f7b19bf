"""The trainings: teacher, judge, SDTT, Di4C, couplings and rectification."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from imdm.params.base import AtLeastTwo, Block, Draws, Fraction, NonNegative, Positive, PositiveFloat, RediKeys, Rounds, Text, Weights


class Optimizer(Block):
    """AdamW with linear warmup, then a constant or cosine rate, and an exponential moving average."""

    steps: Positive = Field(description="optimizer steps")
    batch_size: Positive = Field(description="sequences a step, over all devices")
    lr: PositiveFloat = Field(3e-4, description="peak learning rate")
    warmup: NonNegative = Field(2500, description="steps of linear warmup")
    decay: Literal["constant", "cosine"] = Field("constant", description="learning rate after warmup")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="AdamW weight decay")
    clip: PositiveFloat = Field(1.0, description="gradient-norm clip")
    ema: Fraction = Field(0.9999, description="decay of the weights' moving average")

    # What a step computes, for its operations (`imdm.network.sizes.step_flops`).
    @property
    def next_token_steps(self) -> int:
        """Leading steps of next-token prediction, which masks nothing."""
        return 0

    @property
    def rows_per_sequence(self) -> int:
        """Rows of the student for each sequence of the batch."""
        return 1

    @property
    def masked_share(self) -> float:
        """Mean share of the positions that are masked: a half where times are uniform."""
        return 0.5

    def teacher_passes(self, round_number: int = 1) -> float:
        """Forward passes without gradient for each row of the student: of its teacher, or its own for a target."""
        return 0

    def leaves_optimizer(self, round_number: int) -> bool:
        """Whether the optimizer's state is part of what a training leaves, for the next round."""
        return False


class Pretrain(Optimizer):
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw", description="muon: for the matrices of the blocks, at AdamW's learning rate and with AdamW for all other weights"
    )
    masks: Literal["independent", "counted"] = Field(
        "independent", description="counted: n tokens of each sequence, n uniform in 1 .. L, for the same NELBO at less variance"
    )
    warm_start: NonNegative = Field(0, description="leading steps spent on next-token prediction with causal attention")
    eval_batches: Positive = Field(64, description="batches of the validation NELBO, also of finetune and load_mdlm")
    eval_batch_size: Positive = Field(64, description="sequences in each of them")

    @property
    def next_token_steps(self) -> int:
        return self.warm_start


class Finetune(Optimizer):
    """Training the teacher further (Tab. 13); the same objective as pretraining."""


class Judge(Optimizer):
    """The judge; all but stage and model is for train_judge."""

    stage: Literal["train_judge", "load_judge", "exact_judge"] = Field(
        "train_judge", description="a small GPT-2 trained here, another causal LM, or the corpus's language itself"
    )
    model: Text | None = Field(
        None, description="of load_judge, a causal LM of transformers: hub id (gpt2-large, ORG/NAME@REVISION), folder or GGUF file"
    )
    hidden_size: Positive = Field(128, description="width of the judge")
    blocks: Positive = Field(4, description="transformer blocks of the judge")
    heads: Positive = Field(4, description="attention heads of the judge")

    @model_validator(mode="after")
    def _model(self) -> Judge:
        if self.stage == "load_judge" and not self.model:
            raise ValueError("model must be given where judge.stage is load_judge")
        return self


class Sdtt(Optimizer):
    rounds: Rounds = Field(7, description="rounds, one student each; each starts from the student before it and doubles the step")
    base_steps: Positive = Field(1024, description="steps of the first round's teacher")
    carry: bool = Field(True, description="moving average, optimizer and schedule go on over the rounds, as in SDTT's code, or start anew")
    divergence: Literal["reverse_kl", "forward_kl"] = Field("reverse_kl", description="KL(student || target), or the other way")
    time_grid: Literal["corrected", "released"] = Field("corrected", description="released: the time bug of the published SDTT code")

    def teacher_passes(self, round_number: int = 1) -> float:
        return 2

    def leaves_optimizer(self, round_number: int) -> bool:
        return self.carry and round_number < self.rounds


class Keyed(Optimizer):
    """Keyed distillation: the teacher's draws are read from the mask keys, which the student sees."""

    teacher_steps: AtLeastTwo = Field(4, description="steps of the teacher that the student learns in one")
    from_start: Fraction = Field(0.5, description="share of sequences that are all masked; the others' times are uniform")
    divergence: Literal["reverse_kl", "forward_kl"] = Field(
        "forward_kl", description="reverse_kl: KL(student || target); forward_kl: KL(target || student), whose optimum keeps the marginals"
    )

    @property
    def masked_share(self) -> float:
        return 0.75 * (0.5 + self.from_start / 2)  # half of the rows have half of their positions given

    def teacher_passes(self, round_number: int = 1) -> float:
        return self.teacher_steps


class Di4c(Optimizer):
    """Distillation to a mixture over a latent (Hayakawa et al.), the paper's baseline; defaults as its public code."""

    lr: PositiveFloat = Field(3e-5, description="peak learning rate")
    rounds: Rounds = Field(2, description="rounds; the student of one teaches the next")
    latents: Positive = Field(16, description="M, latents in each Monte Carlo mean over the mixture")
    latent_hidden: Positive = Field(512, description="hidden width of the latent's projection")
    time_steps: Positive = Field(1024, description="grid of times, and the inverse of the teacher's step")
    small_time: Fraction = Field(0.02, description="below this time the loss is distillation, above it consistency")
    small_time_share: Fraction = Field(0.3, description="share of steps below small_time")
    correlation_weight: Annotated[float, Field(ge=0)] = Field(0.1, description="largest weight of the data's correlation term")
    weights: Weights = Field("online", description="which weights a student is sampled with; its authors: online, without the average")

    @property
    def rows_per_sequence(self) -> int:
        return self.latents

    def teacher_passes(self, round_number: int = 1) -> float:
        """M of the student's own for its targets, and the teacher's: one, or M where it is the mixture of the round before."""
        return 1 + (1 if round_number == 1 else self.latents) / self.latents

    @model_validator(mode="after")
    def _grid(self) -> Di4c:
        if self.small_time_share > 0 and self.small_time <= 1 / self.time_steps:
            raise ValueError("small_time must be more than 1 / di4c.time_steps, the first time of the grid")
        return self


class Couplings(Block):
    pairs: Positive = Field(100_000, description="number of couplings")
    steps: Positive = Field(1024, description="steps of the teacher")
    batch_size: Positive = Field(64, description="sequences generated at once; the result does not depend on it")
    draws: Draws = Field("independent", description="from_noise_in_order: read from the mask keys, in dilated order")


class Redi(Optimizer):
    carry: bool = Field(True, description="the moving average goes on from its start's, as in the authors' code: no warmup of its decay")
    keys: RediKeys = Field("stored", description="stored: the coupling's own noise; fresh: new noise each step")

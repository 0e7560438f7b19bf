"""Sampling and scoring."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from imdm.params.base import Block, NonNegative, Positive, PositiveFloat, Precision


class Sampling(Block):
    steps: list[Positive] = Field(min_length=1, description="step counts to sample at")
    count: Positive = Field(1024, description="samples for each step count")
    batch_size: Positive = Field(64, description="sequences at once; the result does not depend on it")
    temperature: PositiveFloat = Field(1.0, description="softmax temperature of the token draw")
    unmasking: Literal["independent", "even", "dilated"] = Field(
        "independent",
        description="independent: each position's step by itself, as published; even: as many in each step, a token a step where N = L; "
        "dilated: as many, those of a step far apart. Couplings and the factorization error keep independent steps",
    )


class Conditional(Block):
    """Completion of prompts: the first tokens of packed held-out blocks (paper Sec. 5.3)."""

    prompts: Positive = Field(256, description="number of prompts")
    completions: Positive = Field(5, description="completions of each prompt")
    prompt_tokens: Positive = Field(50, description="tokens of a prompt, its BOS included")
    split: Literal["valid", "test"] = Field("valid", description="whose blocks are prompts and references")
    scored_tokens: Positive = Field(100, description="leading tokens of a completed block that are scored, the prompt included")


class Matching(Block):
    """Search of the sampling temperature at which a model's entropy equals another's (Tab. 9's parentheses)."""

    count: Positive = Field(256, description="samples at each trial temperature")
    low: PositiveFloat = Field(0.5, description="lowest temperature tried")
    high: PositiveFloat = Field(2.0, description="highest temperature tried")
    tolerance: PositiveFloat = Field(0.005, description="nats of entropy that count as equal")


class Audit(Block):
    """What a model has by heart: its samples beside couplings and training text, and its pairs beside unseen ones."""

    n: list[Positive] = Field([4, 8], min_length=1, description="lengths of the token n-grams that are looked for")
    pairs: Positive = Field(1024, description="couplings of each kind, trained on and not, that are predicted in one step")
    batch_size: Positive = Field(64, description="pairs made and predicted at once; the result does not depend on it")


class Frontier(Block):
    """Gen-PPL and entropy over a range of sampling temperatures, for quality at equal entropy."""

    count: Positive = Field(256, description="samples at each step count and temperature")
    temperatures: list[PositiveFloat] = Field(
        [0.8, 0.9, 1.0, 1.1, 1.25, 1.5], min_length=1, description="softmax temperatures of the token draw, besides sampling.temperature"
    )


class Scoring(Block):
    batch_size: Positive = Field(64, description="sequences scored at once")
    precision: Precision = Field("float32", description="of the judge's weights and activations")
    retokenize: bool = Field(True, description="decode samples and encode them with the judge's tokenizer")
    clean_up: bool = Field(
        False,
        description="decoded text loses blanks around punctuation, as by transformers' clean_up_tokenization_spaces; for retokenize",
    )
    max_tokens: Positive | None = Field(
        None, description="texts are cut to so many judge tokens (as published: the model's length); null: the judge's longest input"
    )
    reference: Literal["test", "valid"] = Field("test", description="split of the real text that samples are compared with")
    bootstrap: Positive = Field(1000, description="bootstrap resamples of the 95% intervals")
    mauve_seeds: NonNegative = Field(5, description="k-means seeds averaged in MAUVE; 0 leaves MAUVE out, and needs no mauve-text")
    mauve_scale: PositiveFloat = Field(5.0, description="MAUVE's scaling factor c")


class Factorization(Block):
    """The factorization error of Eq. 6 on held-out text, with a teacher's chain rule for the joint."""

    steps: list[Positive] = Field([1, 2, 4, 8, 16], min_length=1, description="step counts whose transitions are measured")
    sequences: Positive = Field(64, description="held-out blocks")
    split: Literal["valid", "test"] = Field("valid", description="whose blocks")
    noise_draws: list[Positive] = Field(
        [1, 4, 16],
        min_length=1,
        description="M, noise draws in the mean over noise, ascending, each a divisor of the last; 1 is without a mean",
    )
    batch_size: Positive = Field(64, description="sequences at once; the result does not depend on it")
    bootstrap: Positive = Field(1000, description="bootstrap resamples of the 95% intervals")

    @model_validator(mode="after")
    def _divisors(self) -> Factorization:
        if self.noise_draws != sorted(set(self.noise_draws)) or any(self.noise_draws[-1] % m for m in self.noise_draws):
            raise ValueError("noise_draws must ascend, each a divisor of the last")
        return self

"""The synthetic task (Tab. 1, 2)."""

from __future__ import annotations

from pydantic import Field

from imdm.params.blocks import Block, NonNegative, Positive, PositiveFloat


class Rectify(Block):
    """How a student of the synthetic task is rectified."""

    pairs: Positive = Field(description="couplings, half of each outcome")
    steps: Positive = Field(description="optimizer steps")
    batch_size: Positive = Field(description="couplings a step")
    lr: PositiveFloat = Field(description="peak learning rate, cosine to 0")
    noise_dim: Positive = Field(description="d_noise")
    noise_scale: PositiveFloat = Field(1.0, description="factor on the noise")


class Synthetic(Block):
    seeds: list[NonNegative] = Field(min_length=1, description="one model of each kind a seed")
    hidden_size: Positive = Field(description="width")
    blocks: Positive = Field(description="transformer blocks")
    teacher_steps: Positive = Field(description="optimizer steps of the teacher")
    random: Rectify = Field(description="rectification on randomly paired noise: few pairs, since they can only be memorised")
    driven: Rectify = Field(description="rectification on noise-driven couplings: many pairs, since the map can be learnt")
    samples: Positive = Field(description="one-step samples")
    noise_draws: Positive = Field(description="noise realizations of the factorization error")
    workers: Positive = Field(1, description="processes, one seed each; the result does not depend on it")

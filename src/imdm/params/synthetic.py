"""The synthetic task, {00, 11} (Tab. 1, 2)."""

from __future__ import annotations

from pydantic import Field

from imdm.params.base import Block, NonNegative, Positive, PositiveFloat


class Rectify(Block):
    """How a student of the synthetic task is rectified, all masked, for one step."""

    pairs: Positive = Field(description="couplings")
    balanced: bool = Field(
        True, description="of words equally many couplings of each, and random noise that favours none; false: as they are drawn"
    )
    steps: Positive = Field(description="optimizer steps")
    batch_size: Positive = Field(description="couplings a step")
    lr: PositiveFloat = Field(description="peak learning rate, cosine to 0")
    noise_dim: Positive = Field(description="d_noise")


class Synthetic(Block):
    """{00, 11}, in one step."""

    seeds: list[NonNegative] = Field(min_length=1, description="one model of each kind a seed")
    hidden_size: Positive = Field(description="width of the networks")
    blocks: Positive = Field(description="transformer blocks")
    learned_positions: bool = Field(description="as network.learned_positions; {00, 11} looks the same at both positions")
    teacher_steps: Positive = Field(description="optimizer steps of the teacher")
    random: Rectify = Field(description="rectification on randomly paired noise: few pairs, since they can only be memorised")
    driven: Rectify = Field(description="rectification on noise-driven couplings: many pairs, since the map can be learnt")
    samples: Positive = Field(description="samples of each model")
    noise_draws: Positive = Field(description="noise realizations of the factorization error")
    workers: Positive = Field(1, description="processes, one seed each; the result does not depend on it")

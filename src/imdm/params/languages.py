"""The synthetic tasks: {00, 11} (Tab. 1, 2), the dictionary and the Markov chain."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from imdm.params.base import AtLeastTwo, Block, NonNegative, Positive, PositiveFloat, Processes

Student = Literal["mdm", "imdm", "imdm-driven", "imdm-driven-any-order", "keyed"]
_STUDENTS = "students: mdm and imdm on random pairs, imdm-driven on noise-driven ones (left to right, or in any order), keyed"


class Rectify(Block):
    """How a student of a synthetic task is rectified."""

    pairs: Positive = Field(description="couplings")
    balanced: bool = Field(
        True, description="of words equally many couplings of each, and random noise that favours none; false: as they are drawn"
    )
    steps: Positive = Field(description="optimizer steps")
    batch_size: Positive = Field(description="couplings a step")
    lr: PositiveFloat = Field(description="peak learning rate, cosine to 0")
    noise_dim: Positive = Field(description="d_noise")
    levels: Literal["full", "all"] = Field(
        "full", description="full: trained all masked, for one step; all: masked at every noise level with the pair's keys, for several"
    )


class KeyedWords(Block):
    """How a keyed student of a synthetic task is distilled; as `keyed`, with half of a batch all masked."""

    steps: Positive = Field(description="optimizer steps")
    batch_size: Positive = Field(description="sequences a step")
    lr: PositiveFloat = Field(description="peak learning rate, cosine to 0")
    teacher_steps: AtLeastTwo = Field(description="steps of the teacher that the student learns in one")


class Task(Block):
    """What the synthetic tasks have in common."""

    seeds: list[NonNegative] = Field(min_length=1, description="one language and one model of each kind a seed")
    hidden_size: Positive = Field(description="width of the networks")
    blocks: Positive = Field(description="transformer blocks")
    learned_positions: bool = Field(description="as network.learned_positions; {00, 11} looks the same at both positions")
    teacher_steps: Positive = Field(description="optimizer steps of the teacher")
    random: Rectify = Field(description="rectification on randomly paired noise: few pairs, since they can only be memorised")
    driven: Rectify = Field(description="rectification on noise-driven couplings: many pairs, since the map can be learnt")
    samples: Positive = Field(description="samples of each model, at each step count")
    workers: Processes = Field(1, description="processes, one seed (and cell) each; the result does not depend on it")


class Synthetic(Task):
    """{00, 11}, in one step."""

    noise_draws: Positive = Field(description="noise realizations of the factorization error")


class DictionaryCell(Block):
    """One language of the dictionary task, and at most one setting that differs from the others' (an ablation)."""

    words: Annotated[AtLeastTwo, Field(description="K, number of words")]
    length: Annotated[int, Field(ge=2, le=10, description="L, letters of a word")]
    models: list[Student] = Field(["mdm", "imdm", "imdm-driven", "keyed"], description=_STUDENTS)
    pairs: Positive | None = Field(None, description="replaces random.pairs")
    noise_dim: Positive | None = Field(None, description="replaces random.noise_dim")
    hidden_size: Positive | None = Field(None, description="replaces hidden_size")

    @property
    def varied(self) -> str:
        """The setting that differs, nothing in a cell of the main grid."""
        return next((key for key in ("pairs", "noise_dim", "hidden_size") if getattr(self, key) is not None), "")

    @model_validator(mode="after")
    def _one(self) -> DictionaryCell:
        if sum(value is not None for value in (self.pairs, self.noise_dim, self.hidden_size)) > 1:
            raise ValueError("a cell replaces at most one of pairs, noise_dim and hidden_size, so that an ablation varies one thing")
        return self


class Dictionary(Task):
    """K words of L letters, drawn once a seed: between {00, 11} and text."""

    letters: AtLeastTwo = Field(description="size of the alphabet")
    keyed: KeyedWords = Field(description="keyed distillation")
    cells: list[DictionaryCell] = Field(min_length=1, description="the grid and its ablations")
    steps: list[Positive] = Field(min_length=1, description="sampling steps")
    noise_draws: Positive = Field(description="noise realizations of the factorization errors")

    @model_validator(mode="after")
    def _fits(self) -> Dictionary:
        for number, cell in enumerate(self.cells):
            most = min(self.letters**cell.length, self.samples, self.random.pairs, self.driven.pairs, cell.pairs or cell.words)
            if cell.words > most:
                raise ValueError(
                    f"cells[{number}].words is {cell.words}; letters^length, samples, random.pairs and driven.pairs must be at least that"
                )
        return self

    def of(self, cell: DictionaryCell) -> Dictionary:
        """The settings of a cell."""
        random = self.random.model_copy(update=cell.model_dump(include={"pairs", "noise_dim"}, exclude_none=True))
        return self.model_copy(update={"random": random} | cell.model_dump(include={"hidden_size"}, exclude_none=True))


class Chain(Task):
    """Sequences of L states of a Markov chain, drawn once a seed; training sequences are fresh in every step."""

    states: Annotated[int, Field(ge=2, le=64)] = Field(description="V, number of states")
    length: AtLeastTwo = Field(description="L, tokens of a sequence")
    entropy_rate: PositiveFloat = Field(description="entropy of a token given the one before it, in nats")
    models: list[Student] = Field(description=_STUDENTS)
    keyed: KeyedWords = Field(description="keyed distillation")
    steps: list[Positive] = Field(min_length=1, description="sampling steps")

    @model_validator(mode="after")
    def _peaked(self) -> Chain:
        low, high = 0.2 * math.log(self.states), 0.95 * math.log(self.states)
        if not low <= self.entropy_rate <= high:
            raise ValueError(f"entropy_rate is {self.entropy_rate}; of {self.states} states it must be {low:.2f} to {high:.2f} nats")
        return self

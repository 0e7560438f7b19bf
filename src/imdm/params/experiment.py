"""The whole experiment, and what its parts must agree on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from imdm.errors import UserError
from imdm.params.base import CARRIED_BITS, Block, MaskSettings, Name, Positive, Runtime, Seeds, Shards, Text, VariantOverride
from imdm.params.inputs import Corpus, ExternalSamples, Network, PublicCheckpoint, Teacher
from imdm.params.names import EXTERNAL, KNOWN, ORACLE, PUBLIC, TEACHER, parse_recipe, parse_variant
from imdm.params.scoring import Audit, Conditional, Factorization, Frontier, Matching, Sampling, Scoring
from imdm.params.synthetic import Synthetic
from imdm.params.training import Couplings, Di4c, Finetune, Judge, Keyed, Pretrain, Redi, Sdtt

if TYPE_CHECKING:
    Exhibit = str  # no type checker reads a computed Literal
else:
    Exhibit = Literal[*(f"table{number:02}" for number in range(1, 15)), *(f"figure{number:02}" for number in range(2, 14))]


class Compare(Block):
    """The models that `snakemake all` and `dvc repro` build, beside the teacher."""

    variants: list[Name] = Field(
        min_length=1,
        description="variants of the comparison; V-seedN is V with training seed N = 1, 2, ...",
    )
    recipes: list[Text] = Field(
        min_length=1,
        description="recipes of every variant, and VARIANT/RECIPE (or public/NAME) for one model alone; imdm-signs/keyed, say",
    )


class Paper(Block):
    """Which models stand for those of the paper's tables and figures; `snakemake paper` builds the exhibits."""

    exhibits: list[Exhibit] = Field([], description="what `snakemake paper` builds: table01 to table14, figure02 to figure13")
    student: Text = Field("imdm/sdtt7-redi", description="VARIANT/RECIPE of the paper's IMDM student; its recipe is that of every ablation")
    sdtt: Text = Field("mdlm/sdtt7", description="VARIANT/RECIPE of the SDTT baseline, or public/NAME (Tab. 6, 7, 9, 10)")
    di4c: Text | None = Field(None, description="VARIANT/RECIPE of the Di4C baseline, or public/NAME (Tab. 6, 7)")
    distribution: list[Name] = Field([], description="variants with uniform and with Gaussian noise (Tab. 3, 8)")
    dimension: list[Name] = Field([], description="variants with small, default and large noise dimension (Tab. 3, 8)")
    scale: list[Name] = Field([], description="variants with small, default and large noise scale (Tab. 3, 8)")
    finite: list[Name] = Field([], description="the infinite and the finite mask (Tab. 11)")
    width: list[Name] = Field([], description="variants with small and default noise dimension (Tab. 14)")
    scratch_steps: Positive = Field(
        128, description="steps at which what was not distilled is sampled (Tab. 12); the paper does not say, MDLM's configuration: 128"
    )


class Params(MaskSettings):
    """Everything that an experiment depends on."""

    run: Name = Field(description="name of the experiment; results go to results/RUN")
    seeds: Seeds = Seeds()
    variants: dict[Name, VariantOverride] = Field(description="by name, the mask settings and those of ReDi that a variant replaces")
    compare: Compare
    paper: Paper = Paper()
    corpus: Corpus
    network: Network
    teacher: Teacher = Teacher()
    public: dict[Name, PublicCheckpoint] = Field({}, description="public checkpoints by name, to sample and score as public/NAME")
    external: dict[Name, ExternalSamples] = Field({}, description="samples of other systems by name, to score as external/NAME")
    pretrain: Pretrain
    finetune: Finetune
    judge: Judge
    sdtt: Sdtt
    di4c: Di4c
    keyed: Keyed
    couplings: Couplings
    redi: Redi
    sampling: Sampling
    conditional: Conditional = Conditional()
    matching: Matching = Matching()
    frontier: Frontier = Frontier()
    scoring: Scoring = Scoring()
    factorization: Factorization = Factorization()
    audit: Audit = Audit()
    synthetic: Synthetic
    shards: Shards = Shards()
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _models(self) -> Params:
        for variant in self.variants:
            if parse_variant(variant)[1]:
                raise ValueError(f"variants declares {variant!r}; -seedN is for replicates in compare.variants, so name it otherwise")
        for variant in self.compare.variants:
            if parse_variant(variant)[0] not in self.compare.variants:
                raise ValueError(f"compare.variants names {variant!r} without {parse_variant(variant)[0]!r}, which has the first seed")
        for where, model in self._named():
            try:
                self.check_model(model)
            except UserError as error:
                raise ValueError(f"{where} names {error}") from None
        return self

    @model_validator(mode="after")
    def _sizes(self) -> Params:
        if self.network.hidden_size % self.network.heads:
            raise ValueError("network.hidden_size must be a multiple of network.heads")
        if (self.network.hidden_size // self.network.heads) % 2:
            raise ValueError("network.hidden_size / network.heads must be even, for the rotary embedding")
        completed = {"table07", "table10", "figure03", "figure04", "figure05"} & set(self.paper.exhibits)
        if completed and not self.conditional.prompt_tokens < self.conditional.scored_tokens <= self.corpus.seq_len:
            raise ValueError("conditional.scored_tokens must be more than conditional.prompt_tokens and at most corpus.seq_len")
        if self.judge.stage == "exact_judge" and self.corpus.name != "language":
            raise ValueError("judge.stage is exact_judge, but corpus.name is not language; judge other text with train_judge or load_judge")
        if max(self.audit.n) > self.corpus.seq_len:
            raise ValueError("audit.n must be at most corpus.seq_len")
        if self.matching.low >= self.matching.high:
            raise ValueError("matching.low must be less than matching.high")
        return self

    def _named(self) -> list[tuple[str, str]]:
        """(key, name) of every model that a parameter names."""
        paper = self.paper
        named = [("compare", model) for model in map("/".join, self.models())]
        if paper.exhibits:
            named += [("paper.student", paper.student), ("paper.sdtt", paper.sdtt)]
            named += [("paper.di4c", paper.di4c)] if paper.di4c else []
            for key in ("distribution", "dimension", "scale", "finite", "width"):
                named += [(f"paper.{key}", f"{variant}/{paper.student.partition('/')[2]}") for variant in getattr(paper, key)]
        return named

    def check_model(self, model: str) -> None:
        """Refuse, with a UserError that names the nearest, a name that these parameters make no model of."""
        variant, _, name = model.partition("/")
        if model == TEACHER or model == ORACLE and self.corpus.name == "language":
            return
        if variant in (PUBLIC, EXTERNAL):
            declared = self.public if variant == PUBLIC else self.external
            if name not in declared:
                raise UserError(f"{model!r}, but {variant} declares {', '.join(declared) or 'nothing'}.")
            return
        if parse_variant(variant)[0] not in self.variants:
            raise UserError(f"{model!r}, but variants does not declare {variant!r}; {_nearest(variant, self.variants)}")
        if name == TEACHER:
            return
        recipe = parse_recipe(name)
        if recipe is None or recipe.rounds > self.sdtt.rounds or recipe.di4c > self.di4c.rounds:
            bounds = f"with K up to {self.sdtt.rounds} and R up to {self.di4c.rounds}"
            raise UserError(f"{model!r}, but {name!r} is no recipe; {_nearest(name, self._recipes())} ({KNOWN}, {bounds})")
        masks = self.mask_settings(variant)
        signs = (masks.mask, masks.noise_dist) == ("infinite", "rademacher") and masks.noise_dim >= CARRIED_BITS
        if recipe.keyed and masks.mask != "gumbel" and not signs:
            wanted = f"mask: gumbel, or mask: infinite, noise_dist: rademacher and noise_dim of at least {CARRIED_BITS}"
            raise UserError(f"{model!r}, but keyed is for a variant with {wanted}, whose noise shows the teacher's draws.")
        if recipe.di4c and masks.mask != "single":
            raise UserError(f"{model!r}, but Di4C is for a variant with mask: single.")

    def _recipes(self) -> list[str]:
        students = [f"sdtt{number}" for number in range(1, self.sdtt.rounds + 1)]
        mixtures = [f"di4c{number}" for number in range(1, self.di4c.rounds + 1)]
        return [*students, *(f"{before}{last}" for before in ("", *(f"{s}-" for s in students)) for last in ("redi", "keyed", *mixtures))]

    def mask_settings(self, variant: str) -> MaskSettings:
        """The mask settings of `variant`, or of the one that it replicates: the top-level ones with its overrides."""
        base = {name: getattr(self, name) for name in MaskSettings.model_fields}
        return MaskSettings(**(base | self._override(variant).model_dump(exclude_none=True, exclude={"redi"})))

    def redi_settings(self, variant: str) -> Redi:
        """The settings of `redi` for the students of `variant`."""
        return self.redi.model_copy(update=self._override(variant).redi.model_dump(exclude_none=True))

    def _override(self, variant: str) -> VariantOverride:
        variant, _ = parse_variant(variant)
        if variant not in self.variants:
            raise UserError(f"variants has no {variant!r}; it declares {', '.join(self.variants)}.")
        return self.variants[variant]

    def temperatures(self) -> list[float]:
        """Every temperature of the frontier, ascending; sampling.temperature is always one, so that it has the usual samples."""
        return sorted({*self.frontier.temperatures, self.sampling.temperature})

    def models(self) -> list[tuple[str, str]]:
        """Every (variant, recipe) of the comparison, but for the teacher."""
        everywhere = [recipe for recipe in self.compare.recipes if "/" not in recipe]
        alone = [(v, r) for v, slash, r in (model.partition("/") for model in self.compare.recipes) if slash]
        return list(dict.fromkeys([*((v, r) for r in everywhere for v in self.compare.variants), *alone]))


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}."

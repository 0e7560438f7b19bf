"""The whole experiment, and what its parts must agree on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from imdm.errors import UserError
from imdm.params.base import CARRIED_BITS, Block, MaskSettings, Name, Runtime, Seeds, Shards, VariantOverride
from imdm.params.inputs import Corpus, Network, PublicCheckpoint, Teacher
from imdm.params.languages import Chain, Dictionary, Synthetic
from imdm.params.recipes import KNOWN, parse_recipe
from imdm.params.scoring import Audit, Conditional, Factorization, Frontier, Matching, Sampling, Scoring
from imdm.params.training import Couplings, Di4c, Finetune, Judge, Keyed, Pretrain, Redi, Sdtt
from imdm.params.variants import parse_variant

Exhibit = Literal[
    *(f"table{number:02}" for number in range(1, 15)),  # type: ignore[valid-type]
    *(f"figure{number:02}" for number in range(2, 14)),
]
PUBLIC = "public"  # the "variant" of checkpoints that are loaded, not trained


class Compare(Block):
    variants: list[Name] = Field(
        min_length=1,
        description="variants of the main comparison; V-seedN is V with training seed N = 1, 2, ...",
    )
    recipes: list[Name] = Field(min_length=1, description="recipes of the main comparison: sdttK, redi, sdttK-redi")
    distilled: list[Name] = Field([], description="the sdttK in recipes; this list and the next two are of dvc.yaml, which can't filter")
    redi: list[Name] = Field([], description="[redi] where it is in recipes, else []")
    rectified: list[Name] = Field([], description="students that ReDi rectifies: the sdttK of every sdttK-redi in recipes")
    keyed: list[Name] = Field([], description="variants with the recipe keyed, beside the main comparison")
    also: list[str] = Field([], description="further VARIANT/RECIPE that `snakemake all` builds besides")


class Paper(Block):
    """Which models stand for those of the paper's tables and figures; `snakemake paper` builds the exhibits."""

    exhibits: list[Exhibit] = Field([], description="what `snakemake paper` builds: table01 to table14, figure02 to figure13")
    student: str = Field("imdm/sdtt7-redi", description="VARIANT/RECIPE of the paper's IMDM student; its recipe is that of every ablation")
    sdtt: str = Field("mdlm/sdtt7", description="VARIANT/RECIPE of the SDTT baseline, or public/NAME (Tab. 6, 7, 9, 10)")
    di4c: str | None = Field(None, description="VARIANT/RECIPE of the Di4C baseline, or public/NAME (Tab. 6, 7)")
    distribution: list[Name] = Field([], description="variants with uniform and with Gaussian noise (Tab. 3, 8)")
    dimension: list[Name] = Field([], description="variants with small, default and large noise dimension (Tab. 3, 8)")
    scale: list[Name] = Field([], description="variants with small, default and large noise scale (Tab. 3, 8)")
    finite: list[Name] = Field([], description="the infinite and the finite mask (Tab. 11)")
    width: list[Name] = Field([], description="variants with small and default noise dimension (Tab. 14)")


class Params(MaskSettings):
    """Everything that an experiment depends on."""

    run: Name = Field(description="name of the experiment; results go to results/RUN")
    seeds: Seeds = Seeds()
    variants: dict[Name, VariantOverride] = Field(description="mask settings by name, as overrides of the top-level ones")
    compare: Compare
    paper: Paper = Paper()
    corpus: Corpus
    network: Network
    teacher: Teacher = Teacher()
    public: dict[Name, PublicCheckpoint] = Field({}, description="public checkpoints by name, to sample and score as public/NAME")
    pretrain: Pretrain
    finetune: Finetune = Finetune()
    judge: Judge = Judge()
    sdtt: Sdtt
    di4c: Di4c = Di4c()
    keyed: Keyed = Keyed()
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
    dictionary: Dictionary = Dictionary()
    chain: Chain = Chain()
    shards: Shards = Shards()
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _models(self) -> Params:
        for recipe in self.compare.recipes:
            found = parse_recipe(recipe)
            if found is None or found.di4c or found.keyed or not (found.rounds or found.redi):
                raise ValueError(f"compare.recipes names {recipe!r}; a main comparison is of sdttK, redi and sdttK-redi")
        for variant in self.variants:
            if parse_variant(variant)[1]:
                raise ValueError(f"variants declares {variant!r}; -seedN is for replicates in compare.variants, so name it otherwise")
        for variant in self.compare.variants:
            if parse_variant(variant)[0] not in self.compare.variants:
                raise ValueError(f"compare.variants names {variant!r} without {parse_variant(variant)[0]!r}, which has the first seed")
        for where, model in self._named():
            self._check(where, model)
        recipes = set(self.compare.recipes)
        rectified = {recipe.removesuffix("-redi") for recipe in recipes if recipe.endswith("-redi")}
        for key, expected, what in (
            ("rectified", rectified, "the sdttK of every sdttK-redi"),
            ("redi", recipes & {"redi"}, "redi if it is"),
            ("distilled", {recipe for recipe in recipes if not recipe.endswith("redi")}, "every sdttK"),
        ):
            if expected != set(getattr(self.compare, key)):
                raise ValueError(f"compare.{key} must be [{', '.join(sorted(expected))}], {what} in compare.recipes")
        return self

    @model_validator(mode="after")
    def _sizes(self) -> Params:
        if self.network.hidden_size % self.network.heads:
            raise ValueError("network.hidden_size must be a multiple of network.heads")
        if (self.network.hidden_size // self.network.heads) % 2:
            raise ValueError("network.hidden_size / network.heads must be even, for the rotary embedding")
        if not self.conditional.prompt_tokens < self.conditional.scored_tokens <= self.corpus.seq_len and self._conditional():
            raise ValueError("conditional.scored_tokens must be more than conditional.prompt_tokens and at most corpus.seq_len")
        if max(self.audit.n) > self.corpus.seq_len:
            raise ValueError("audit.n must be at most corpus.seq_len")
        if self.matching.low >= self.matching.high:
            raise ValueError("matching.low must be less than matching.high")
        return self

    def _conditional(self) -> bool:
        return bool({"table07", "table10", "figure03", "figure04", "figure05"} & set(self.paper.exhibits))

    def _named(self) -> list[tuple[str, str]]:
        """(key, VARIANT/RECIPE) of every model that a parameter names."""
        paper = self.paper
        found = [("compare", f"{variant}/{recipe}") for variant, recipe in self.models()]
        if paper.exhibits:
            found += [("paper.student", paper.student), ("paper.sdtt", paper.sdtt)]
            found += [("paper.di4c", paper.di4c)] if paper.di4c else []
            for key in ("distribution", "dimension", "scale", "finite", "width"):
                found += [(f"paper.{key}", f"{variant}/{paper.student.partition('/')[2]}") for variant in getattr(paper, key)]
        return found

    def _check(self, where: str, model: str) -> None:
        variant, _, name = model.partition("/")
        if variant == PUBLIC:
            if name not in self.public:
                raise ValueError(f"{where} names {model!r}, but public declares {', '.join(self.public) or 'nothing'}")
            return
        recipe = parse_recipe(name)
        if parse_variant(variant)[0] not in self.variants:
            raise ValueError(f"{where} names the variant {variant!r}, which variants does not declare")
        if recipe is None or recipe.rounds > len(self.sdtt.rounds) or recipe.di4c > self.di4c.rounds:
            bounds = f"with K up to {len(self.sdtt.rounds)} and R up to {self.di4c.rounds}"
            raise ValueError(f"{where} names the recipe {name!r}; known are {KNOWN}, {bounds}")
        if recipe.keyed:
            self._check_keyed(where, model)
        if recipe.di4c and self.mask_settings(variant).mask != "single":
            raise ValueError(f"{where} names {model!r}, but Di4C is for a variant with mask: single")

    def _check_keyed(self, where: str, model: str) -> None:
        masks = self.mask_settings(model.partition("/")[0])
        if masks.mask != "infinite" or masks.noise_dist != "rademacher" or masks.noise_dim < CARRIED_BITS:
            wanted = f"mask: infinite, noise_dist: rademacher and noise_dim of at least {CARRIED_BITS}"
            raise ValueError(f"{where} names {model!r}, but keyed is for a variant with {wanted}, whose noise shows the teacher's draws")

    def mask_settings(self, variant: str) -> MaskSettings:
        """The mask settings of `variant`, or of the one that it replicates: the top-level ones with its overrides."""
        variant, _ = parse_variant(variant)
        if variant not in self.variants:
            raise UserError(f"variants has no {variant!r}; it declares {', '.join(self.variants)}.")
        base = {name: getattr(self, name) for name in MaskSettings.model_fields}
        return MaskSettings(**(base | self.variants[variant].model_dump(exclude_none=True)))

    def temperatures(self) -> list[float]:
        """Every temperature of the frontier, ascending; sampling.temperature is always one, so that it has the usual samples."""
        return sorted({*self.frontier.temperatures, self.sampling.temperature})

    def factorized(self) -> list[tuple[str, str]]:
        """Those of `models` whose step has a factorization error: given its noise, a keyed student's text has no density."""
        return [(variant, name) for variant, name in self.models() if not ((recipe := parse_recipe(name)) and recipe.keyed)]

    def models(self) -> list[tuple[str, str]]:
        """Every (variant, recipe) of the comparison, the main one first."""
        pairs = [(v, r) for r in self.compare.recipes for v in self.compare.variants]
        pairs += [(variant, "keyed") for variant in self.compare.keyed]
        pairs += [tuple(model.split("/", 1)) if "/" in model else (model, "") for model in self.compare.also]
        return list(dict.fromkeys(pairs))

"""The experiment's parameters: one definition, from which schema, checks and documents follow.

`params.yaml` and every file in `presets/` validate against `Params`. Unknown keys are refused with
the nearest known one. Steps, sizes and counts are positive integers; times are in [0, 1].
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imdm.errors import UserError

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._]*(-[a-z0-9._]+)*$")]

MaskKind = Literal["single", "infinite", "finite"]
NoiseDist = Literal["uniform", "gaussian"]


class Block(BaseModel):
    """A group of parameters; refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Seeds(Block):
    data: NonNegative = Field(0, description="document split and block order")
    train: NonNegative = Field(0, description="initial weights, batches, masks and dropout of every training")
    couplings: NonNegative = Field(0, description="the teacher's draws for couplings")
    sampling: NonNegative = Field(0, description="the draws of the sample stage")
    scoring: NonNegative = Field(0, description="bootstrap and MAUVE's k-means")


class MaskSettings(Block):
    """What a mask state looks like to the network (paper Eq. 15, Tab. 3, Tab. 11)."""

    mask: MaskKind = Field("infinite", description="single: MDLM; infinite: IMDM; finite: a table of mask embeddings")
    noise_dim: Positive = Field(256, description="d_noise, length of the noise vector of a mask state")
    noise_dist: NoiseDist = Field("uniform", description="uniform on (-1, 1), or standard Gaussian")
    noise_scale: PositiveFloat = Field(1.0, description="factor on the noise")
    finite_masks: Positive = Field(6144, description="number of mask embeddings of mask: finite")


class VariantOverride(Block):
    """Top-level mask settings that a variant replaces; what it leaves out keeps the top-level value."""

    mask: MaskKind | None = Field(None, description="replaces mask")
    noise_dim: Positive | None = Field(None, description="replaces noise_dim")
    noise_dist: NoiseDist | None = Field(None, description="replaces noise_dist")
    noise_scale: PositiveFloat | None = Field(None, description="replaces noise_scale")
    finite_masks: Positive | None = Field(None, description="replaces finite_masks")


class Compare(Block):
    variants: list[Name] = Field(min_length=1, description="variants of the main comparison")
    recipes: list[Name] = Field(min_length=1, description="recipes of the main comparison: sdttK, redi, sdttK-redi")
    rectified: list[Name] = Field([], description="students that ReDi rectifies: the sdttK of every sdttK-redi in recipes")
    also: list[str] = Field([], description="further VARIANT/RECIPE that `snakemake all` builds besides")


class Corpus(Block):
    name: Literal["pydocs", "files"] = Field("pydocs", description="pydocs: text that ships with Python; files: your own")
    path: str | None = Field(None, description="glob of .txt, .txt.gz or .jsonl (files)")
    documents: Literal["blank_line", "line", "file"] = Field("blank_line", description="what one document is in a text file")
    text_field: str = Field("text", description="field of a .jsonl record that holds the text")
    vocab_size: Positive = Field(512, description="size of the BPE vocabulary, special tokens included")
    seq_len: Annotated[int, Field(ge=4)] = Field(32, description="tokens per block, BOS and EOS included")
    judge_fraction: Fraction = Field(0.4, description="share of documents set apart for training the judge")
    valid_fraction: Fraction = Field(0.05, description="share of documents for validation")
    test_fraction: Fraction = Field(0.05, description="share of documents for the reference text")
    workers: Positive = Field(1, description="tokenizer threads; the result does not depend on it")


class Network(Block):
    hidden_size: Positive = Field(768, description="d, width of the residual stream")
    blocks: Positive = Field(12, description="transformer blocks")
    heads: Positive = Field(12, description="attention heads")
    cond_dim: Positive = Field(128, description="width of the time conditioning, a constant in all the paper's models")
    dropout: Fraction = Field(0.1, description="dropout on the two branches of a block")
    learned_positions: bool = Field(False, description="add a learned position embedding to the rotary one")
    softcap: PositiveFloat | None = Field(None, description="soft cap on attention logits (authors' LM1B runs: 50)")
    init_std: PositiveFloat | None = Field(None, description="N(0, std) for attention and MLP weights; null: torch's default")


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


class Pretrain(Optimizer):
    warm_start: NonNegative = Field(0, description="leading steps spent on next-token prediction with causal attention")
    eval_batches: Positive = Field(64, description="batches of the validation NELBO")


class Judge(Optimizer):
    hidden_size: Positive = Field(128, description="width of the judge")
    blocks: Positive = Field(4, description="transformer blocks of the judge")
    heads: Positive = Field(4, description="attention heads of the judge")


class SdttRound(Block):
    round: Positive = Field(description="number of the round, from 1")
    teacher: str = Field(description="recipe that teaches it: teacher, then sdtt1, sdtt2, ...")


class Sdtt(Optimizer):
    rounds: list[SdttRound] = Field(min_length=1, description="one student a round; each round doubles the step")
    base_steps: Positive = Field(1024, description="steps of the first round's teacher")
    divergence: Literal["reverse_kl", "forward_kl"] = Field("reverse_kl", description="KL(student || target), or the other way")
    time_grid: Literal["corrected", "released"] = Field("corrected", description="released: the time bug of the published SDTT code")

    @model_validator(mode="after")
    def _chain(self) -> Sdtt:
        for number, entry in enumerate(self.rounds, start=1):
            teacher = "teacher" if number == 1 else f"sdtt{number - 1}"
            if (entry.round, entry.teacher) != (number, teacher):
                raise ValueError(f"rounds: entry {number} must be {{round: {number}, teacher: {teacher}}}")
        return self


class Couplings(Block):
    pairs: Positive = Field(100_000, description="number of couplings")
    steps: Positive = Field(1024, description="steps of the teacher")
    batch_size: Positive = Field(64, description="sequences generated at once; the result does not depend on it")
    start: Literal["perturbed", "full"] = Field("perturbed", description="perturbed: a real block masked at t~U(0,1); full: all masked")
    draws: Literal["independent", "from_noise", "from_noise_in_order"] = Field(
        "independent",
        description="from_noise: the teacher's order and draws are read from the mask keys; from_noise_in_order: left to right",
    )


class Redi(Optimizer):
    keys: Literal["stored", "fresh"] = Field("stored", description="stored: the coupling's own noise; fresh: new noise each step")


class Sampling(Block):
    steps: list[Positive] = Field(min_length=1, description="step counts to sample at")
    count: Positive = Field(1024, description="samples for each step count")
    batch_size: Positive = Field(64, description="sequences at once; the result does not depend on it")
    temperature: PositiveFloat = Field(1.0, description="softmax temperature of the token draw")
    mask_redraw: Literal["posterior", "keep"] = Field(
        "posterior", description="posterior: Eq. 13; keep: noise stays for the whole trajectory"
    )


class Scoring(Block):
    judge: str = Field("trained", description="trained: the train_judge stage; else id or path of a causal LM of transformers")
    batch_size: Positive = Field(64, description="sequences scored at once")
    retokenize: bool = Field(True, description="decode samples and encode them with the judge's tokenizer")
    bootstrap: Positive = Field(1000, description="bootstrap resamples of the 95% intervals")
    mauve_seeds: Positive = Field(5, description="k-means seeds averaged in MAUVE")
    mauve_scale: PositiveFloat = Field(5.0, description="MAUVE's scaling factor c")


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


class Runtime(Block):
    """How a stage runs; nothing here changes its result beyond rounding."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="of the network's body; auto: bfloat16 on cuda")
    threads: NonNegative = Field(0, description="torch threads; 0: all cores")
    deterministic: bool = Field(False, description="torch.use_deterministic_algorithms")
    checkpoint_seconds: PositiveFloat = Field(60.0, description="time between the checkpoints of a training")
    tensorboard: bool = Field(False, description="log to TensorBoard besides CSV")


class Params(MaskSettings):
    """Everything that an experiment depends on."""

    run: Name = Field(description="name of the experiment; results go to results/RUN")
    seeds: Seeds = Seeds()
    variants: dict[Name, VariantOverride] = Field(description="mask settings by name, as overrides of the top-level ones")
    compare: Compare
    corpus: Corpus
    network: Network
    pretrain: Pretrain
    judge: Judge
    sdtt: Sdtt
    couplings: Couplings
    redi: Redi
    sampling: Sampling
    scoring: Scoring = Scoring()
    synthetic: Synthetic
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _names(self) -> Params:
        models = self.models()
        for variant, recipe in models:
            if variant not in self.variants:
                raise ValueError(f"compare names the variant {variant!r}, which variants does not declare")
            rounds = recipe_rounds(recipe)
            if rounds is None or rounds > len(self.sdtt.rounds):
                raise ValueError(
                    f"compare names the recipe {recipe!r}; known are redi, sdttK and sdttK-redi with K up to {len(self.sdtt.rounds)}"
                )
        rectified = {recipe.removesuffix("-redi") for recipe in self.compare.recipes if recipe.endswith("-redi")}
        if rectified != set(self.compare.rectified):
            raise ValueError(
                f"compare.rectified must be [{', '.join(sorted(rectified))}], the sdttK of every sdttK-redi in compare.recipes"
            )
        if self.network.hidden_size % self.network.heads:
            raise ValueError("network.hidden_size must be a multiple of network.heads")
        if (self.network.hidden_size // self.network.heads) % 2:
            raise ValueError("network.hidden_size / network.heads must be even, for the rotary embedding")
        if self.corpus.name == "files" and not self.corpus.path:
            raise ValueError("corpus.path must be a glob where corpus.name is files")
        return self

    def mask_settings(self, variant: str) -> MaskSettings:
        """The mask settings of `variant`: the top-level ones with its overrides."""
        if variant not in self.variants:
            raise UserError(f"variants has no {variant!r}; it declares {', '.join(self.variants)}.")
        base = {name: getattr(self, name) for name in MaskSettings.model_fields}
        return MaskSettings(**(base | self.variants[variant].model_dump(exclude_none=True)))

    def models(self) -> list[tuple[str, str]]:
        """Every (variant, recipe) that the experiment declares, the main comparison first."""
        pairs = [(v, r) for r in self.compare.recipes for v in self.compare.variants]
        pairs += [tuple(model.split("/", 1)) if "/" in model else (model, "") for model in self.compare.also]
        return list(dict.fromkeys(pairs))


def recipe_rounds(recipe: str) -> int | None:
    """Number of SDTT rounds in a recipe's name (0 for redi), None where it is not a recipe."""
    match = re.fullmatch(r"redi|sdtt([1-9]\d*)(-redi)?", recipe)
    return None if match is None else int(match[1] or 0)


def load_params(path: str | Path, overrides: list[str] | None = None) -> Params:
    """Read and validate an experiment.

    Args:
        path: YAML file.
        overrides: `key.sub=value` strings, the value read as YAML.

    Raises:
        UserError: the file is missing or no YAML mapping, or a key or value is wrong.
    """
    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; name the parameter file with --params.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} must hold a mapping of parameters.")
    for override in overrides or []:
        _set(tree, override)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise UserError(_sentence(path, error)) from None


def _set(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise UserError(f"--set {override!r} must be KEY=VALUE, for example noise_dim=64.")
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UserError(f"--set {override!r}: {parent} has no keys below it.")
    tree[last] = yaml.safe_load(value)


def _sentence(path: Path, error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" ({error.error_count() - 1} more problems follow)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _fields(first["loc"][:-1]), n=1)
        remedy = f"did you mean {near[0]}?" if near else "remove it."
        return f"{path}: {key} is not a parameter; {remedy}{more}"
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{path}: {key} is missing; add it.{more}"
    if first["type"] == "value_error":
        return f"{path}: {key + ': ' if key else ''}{text}.{more}"
    return f"{path}: {key} = {first['input']!r} is wrong: {text[0].lower() + text[1:]}.{more}"


def _fields(location: tuple[Any, ...]) -> list[str]:
    """Names that are allowed at `location` of the tree."""
    model: Any = Params
    for part in location:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            model = fields[part].annotation
        elif not isinstance(model, type):  # dict[Name, X] or list[X]: go on with X
            model = model.__args__[-1]
    return list(getattr(model, "model_fields", {}))

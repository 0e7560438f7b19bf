"""What models, recipes and metrics are called in tables and figures."""

from __future__ import annotations

import re

from imdm.audit import REAL
from imdm.params import EXTERNAL, PUBLIC, TEACHER, parse_recipe, parse_variant
from imdm.params.names import ORACLE
from imdm.scoring.controls import HELD_OUT, NGRAM, PERIODIC, SHUFFLED

BASELINE = "mdlm"
NAMES = {
    "mdm": "MDM",
    "mdlm": "MDLM",
    "imdm": "IMDM",
    "imdm-fresh": "IMDM, fresh noise in each step",
    "imdm-signs": "IMDM, Rademacher noise",
    "imdm-plain": "IMDM, pairs as they are drawn",
    "imdm-gumbel": "Gumbel masks",
    "imdm-driven": "IMDM, noise-driven couplings",
    "random": "Random sequence",
    TEACHER: "Teacher, not distilled",
    ORACLE: "Oracle, exact marginals",
    "data": "Data, exact",
    EXTERNAL: "External",
    REAL: "Real text",
    HELD_OUT: "Other held-out text",
    SHUFFLED: "Shuffled held-out text",
    NGRAM: "5-gram model",
    PERIODIC: "Periodic sampler",
}
METRICS = {
    "validity_pct": "Validity (%)",
    "coverage_pct": "Coverage (%)",
    "nll_valid_nats": "NLL of valid texts (nats a word)",
    "broken_tokens": "Broken words a text",
    "entropy_gap_nats": "Bigram entropy minus the language's (nats)",
    "bigram_kl_nats": "Bigram KL (nats)",
    "token_entropy_nats": "Token entropy (nats)",
    "error_valid_mass_nats": "Error, valid mass (nats)",
    "error_kl_nats": "Error, KL (nats)",
    "gen_ppl": "Gen-PPL",
    "gen_ppl_mean": "Gen-PPL, mean over samples",
    "entropy": "Entropy (nats)",
    "energy": "Energy distance",
    "frechet": "Fréchet distance",
    "jsd_1": "JSD, tokens",
    "jsd_2": "JSD, bigrams",
    "jsd_3": "JSD, trigrams",
    "distinct_4": "Distinct 4-grams",
    "repetition_4": "Rep-4",
    "calls": "Network calls",
    "mauve": "MAUVE",
    "val_ppl": "Val PPL",
    "temperature": "Temperature",
    "unigram_perplexity": "Unigram perplexity",
    "parameters": "Parameters",
    "correlation_nats_per_token": "Teacher's total correlation",
    "marginals_nats_per_token": "Marginals",
    "dependence_nats_per_token": "Dependence by noise",
    "theorem_bound_nats": "Theorem 4.1's bound",
    "P(token1=0)_pct": "Token 1",
    "P(token2=0)_pct": "Token 2",
    "nearest_coupling_pct": "Nearest coupling (%)",
    "nearest_coupling_max_pct": "largest",
    "nearest_block_pct": "Nearest block (%)",
    "nearest_block_max_pct": "largest",
    "nll_seen_own": "NLL seen, own noise",
    "nll_seen_fresh": "NLL seen, fresh",
    "noise_gap_seen": "Noise gap, seen",
    "nll_unseen_own": "NLL unseen, own",
    "nll_unseen_fresh": "NLL unseen, fresh",
    "noise_gap_unseen": "Noise gap, unseen",
    "pair_gap": "Pair gap",
    "equal_seen_own_pct": "Equal seen, own (%)",
    "equal_seen_fresh_pct": "Equal seen, fresh (%)",
    "equal_unseen_own_pct": "Equal unseen, own (%)",
}
_NGRAMS = {"in_couplings": "couplings", "in_train": "training text", "shared": "other samples"}


def name_of(model: str) -> str:
    """A model's name for readers, `IMDM: SDTT (3 rounds)` for imdm/sdtt3; names that aren't known are shown as they are."""
    variant, _, recipe = model.partition("/")
    return f"{name_of(variant)}: {setting_of(model)}" if recipe else NAMES.get(model, model)


def baseline_of(model: str) -> str | None:
    """What VARIANT/RECIPE is compared with: MDLM with the same recipe and training seed.

    One mask can't be keyed, so a keyed distillation is compared with what it began with: the teacher, or MDLM after as many
    rounds of SDTT. None for MDLM itself, another system and for a model without a recipe.
    """
    variant, _, recipe = model.partition("/")
    declared, _ = parse_variant(variant)
    parts = parse_recipe(recipe)
    if parts and parts.keyed:
        if not parts.rounds:
            return TEACHER
        recipe = parts.parent
    return f"{BASELINE}{variant.removeprefix(declared)}/{recipe}" if recipe and declared not in (BASELINE, EXTERNAL) else None


def metric_name(metric: str) -> str:
    """A metric's name as the head of a column."""
    match = re.fullmatch(r"(\w+)_(\d+)_pct", metric)
    return f"{match[2]}-grams in {_NGRAMS[match[1]]} (%)" if match else METRICS.get(metric, metric.replace("_", "-"))


def recipe_label(recipe: str) -> str:
    """A recipe in words: `SDTT (3 rounds) + ReDi` for sdtt3-redi."""
    plain = {"scratch": "from scratch", "finetune": "fine-tuned"}
    parts = parse_recipe(recipe)
    if parts is None or recipe in plain:
        return plain.get(recipe, recipe)
    words = [f"{name} ({n} round{'s' if n > 1 else ''})" for name, n in (("SDTT", parts.rounds), ("Di4C", parts.di4c)) if n]
    label = " + ".join(words + ["ReDi"] * parts.redi + ["keyed distillation"] * parts.keyed)
    return label[0].upper() + label[1:]


def setting_of(model: str) -> str:
    """How a model was made, in words."""
    variant, _, recipe = model.partition("/")
    if variant in (PUBLIC, EXTERNAL):
        return f"public checkpoint {recipe}" if variant == PUBLIC else f"samples of {recipe}"
    return recipe_label(recipe) if recipe else "not distilled"


def step_words(steps: int) -> str:
    """`1 step`, `2 steps`."""
    return f"{steps} step{'s' if steps > 1 else ''}"

"""What models, recipes and metrics are called in tables and figures."""

from __future__ import annotations

from imdm.params import PUBLIC, parse_recipe

BASELINE = "mdlm"
TEACHER = "teacher"
MAIN = ("table01", "table02", "table04", "table05", "figure02")  # exhibits that tabulate and plot make
NAMES = {
    "mdm": "MDM",
    "mdlm": "MDLM",
    "imdm": "IMDM",
    "imdm-driven": "IMDM, noise-driven couplings",
    "imdm-driven-any-order": "IMDM, noise-driven in any order",
    "random": "Random sequence",
    "teacher": "Teacher, not distilled",
    "test text": "Real text",
}
METRICS = {
    "validity_pct": "Validity (%)",
    "coverage_pct": "Coverage (%)",
    "token_entropy_nats": "Token entropy (nats)",
    "error_valid_mass_nats": "Error, valid mass (nats)",
    "error_kl_nats": "Error, KL (nats)",
    "gen_ppl": "Gen-PPL",
    "gen_ppl_mean": "Gen-PPL, mean over samples",
    "entropy": "Entropy (nats)",
    "mauve": "MAUVE",
    "val_ppl": "Val PPL",
    "temperature": "Temperature",
}


def name_of(model: str) -> str:
    """A model's name for readers; names that aren't known are shown as they are."""
    return NAMES.get(model, model)


def recipe_label(recipe: str) -> str:
    """A recipe in words: `SDTT (3 rounds) + ReDi` for sdtt3-redi."""
    plain = {"scratch": "from scratch", "finetune": "fine-tuned"}
    parts = parse_recipe(recipe)
    if parts is None or recipe in plain:
        return plain.get(recipe, recipe)
    words = [f"{name} ({n} round{'s' if n > 1 else ''})" for name, n in (("SDTT", parts.rounds), ("Di4C", parts.di4c)) if n]
    return " + ".join(words + ["ReDi"] * parts.redi)


def setting_of(model: str) -> str:
    """How a model was made, in words."""
    variant, _, recipe = model.partition("/")
    return f"public checkpoint {recipe}" if variant == PUBLIC else recipe_label(recipe) if recipe else "not distilled"

"""Names of models: `teacher`, `oracle`, `VARIANT/RECIPE`, `public/NAME` or `external/NAME`; a name says what the model is made from.

A variant is one that `variants` declares, or its replicate with another training seed: `imdm-seed2` has the mask settings, teacher
and data of `imdm`, but every training of its students, and what the variant adds to the teacher's network, draw from training
seed 2. `imdm` itself has the first seed, number 0.

| recipe | what it is |
|---|---|
| `teacher` | the teacher's weights in the variant's network, untrained |
| `sdttK` | K rounds of SDTT |
| `redi` | rectified on the teacher's couplings |
| `sdttK-redi` | rectified on the couplings of sdttK |
| `di4cR`, `sdttK-di4cR` | R rounds of Di4C, from the teacher or from sdttK |
| `keyed`, `sdttK-keyed` | keyed distillation of the teacher, or of sdttK |
| `scratch` | pretrained from random weights, as the teacher |
| `finetune` | the teacher, trained further by the same objective |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

RESERVED = (".partial", "meta.json")  # endings of paths that stages give to what lies beside their outputs
TEACHER = "teacher"
ORACLE = "oracle"  # the exact marginals of a language
PUBLIC = "public"  # the "variant" of checkpoints that are loaded, not trained
EXTERNAL = "external"  # the "variant" of other systems, of which there are samples alone
REPLICATE = r"-seed[1-9][0-9]{0,3}"
RECIPES = r"scratch|finetune|(?:sdtt[1-9][0-9]{0,3}-)?(?:redi|keyed|di4c[1-9][0-9]{0,3})|sdtt[1-9][0-9]{0,3}"
KNOWN = "sdttK, redi, sdttK-redi, di4cR, sdttK-di4cR, keyed, sdttK-keyed, scratch and finetune"


def parse_variant(name: str) -> tuple[str, int]:
    """The declared variant of a name, and the number of its training seed."""
    parts = re.fullmatch(rf"(.+)({REPLICATE})", name)
    return (parts[1], int(parts[2].removeprefix("-seed"))) if parts else (name, 0)


@dataclass(frozen=True)
class Recipe:
    """A parsed recipe.

    Attributes:
        rounds: rounds of SDTT.
        di4c: rounds of Di4C after them.
        redi: whether it ends with a rectification.
        keyed: whether it ends with a keyed distillation.
    """

    name: str
    rounds: int = 0
    di4c: int = 0
    redi: bool = False
    keyed: bool = False

    @property
    def parent(self) -> str:
        """The recipe whose model the last training starts from, and learns from; `teacher` where there is none before."""
        if self.di4c > 1:
            return re.sub(r"\d+$", str(self.di4c - 1), self.name)
        before = self.rounds if self.di4c or self.redi or self.keyed else self.rounds - 1
        return f"sdtt{before}" if before > 0 else TEACHER


def parse_recipe(name: str) -> Recipe | None:
    """A recipe's name in parts, None where it is not one of a trained model."""
    if not re.fullmatch(RECIPES, name):
        return None
    rounds = {method: int(count) for method, count in re.findall(r"(sdtt|di4c)([0-9]+)", name)}
    return Recipe(name, rounds.get("sdtt", 0), rounds.get("di4c", 0), name.endswith("redi"), name.endswith("keyed"))


def parent(model: str) -> str:
    """VARIANT/RECIPE that the last training of a model starts from."""
    variant, _, name = model.partition("/")
    recipe = parse_recipe(name)
    return f"{variant}/{recipe.parent if recipe else TEACHER}"


def couplings_of(model: str) -> str | None:
    """The model whose couplings a rectified one was trained on; None for any other.

    A network that has just got the teacher's weights computes what the teacher does, so all variants share the teacher's couplings.
    """
    recipe = parse_recipe(model.partition("/")[2])
    if model.startswith(f"{PUBLIC}/") or recipe is None or not recipe.redi:
        return None
    return parent(model) if recipe.rounds else TEACHER


def trained(model: str) -> list[str]:
    """Every VARIANT/RECIPE whose training a model needs, in order, itself last; none for the teacher and public checkpoints."""
    variant, _, name = model.partition("/")
    recipe = parse_recipe(name)
    if variant == PUBLIC or recipe is None:
        return []
    before = [] if name == "scratch" else trained(parent(model))
    return [*before, model]

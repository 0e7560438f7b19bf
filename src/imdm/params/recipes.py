"""Names of recipes: how a model of a variant is made from the teacher.

| recipe | what it is |
|---|---|
| `sdttK` | K rounds of SDTT |
| `redi` | rectified on the teacher's couplings |
| `sdttK-redi` | rectified on the couplings of sdttK |
| `di4cR`, `sdttK-di4cR` | R rounds of Di4C, from the teacher or from sdttK |
| `keyed`, `sdttK-keyed` | keyed distillation of the teacher, or of sdttK |
| `scratch` | pretrained from random weights, as the teacher |
| `finetune` | the adopted teacher, trained further by the same objective |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

UNRECTIFIED = r"scratch|finetune|di4c[1-9]\d*|sdtt[1-9]\d*(?:-di4c[1-9]\d*)?|(?:sdtt[1-9]\d*-)?keyed"
PATTERN = rf"{UNRECTIFIED}|redi|sdtt[1-9]\d*-redi"
KNOWN = "sdttK, redi, sdttK-redi, di4cR, sdttK-di4cR, keyed, sdttK-keyed, scratch and finetune"


@dataclass(frozen=True)
class Recipe:
    """A parsed name.

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
        """The recipe (or `teacher`) whose model the last training starts from."""
        if self.di4c > 1:
            return re.sub(r"\d+$", str(self.di4c - 1), self.name)
        if self.di4c or self.redi or self.keyed:
            return f"sdtt{self.rounds}" if self.rounds else "teacher"
        return f"sdtt{self.rounds - 1}" if self.rounds > 1 else "teacher"

    def trained(self) -> list[str]:
        """Every recipe whose training this one needs, in order, itself last."""
        if self.name == "scratch" or self.parent == "teacher":
            return [self.name]
        before = parse_recipe(self.parent)
        return [*(before.trained() if before else []), self.name]


def parse_recipe(name: str) -> Recipe | None:
    """A recipe's name in parts, None where it is not one."""
    if not re.fullmatch(PATTERN, name):
        return None
    sdtt, di4c = re.search(r"sdtt(\d+)", name), re.search(r"di4c(\d+)", name)
    return Recipe(name, int(sdtt[1]) if sdtt else 0, int(di4c[1]) if di4c else 0, name.endswith("redi"), name.endswith("keyed"))

"""Names of variants: whose mask settings, and which training seed.

`imdm-seed2` is a replicate of `imdm`: the same mask settings, teacher and data, but every training of its students, and what
the variant adds to the adopted network, draw from training seed 2. `imdm` itself has the first seed, number 0.
"""

from __future__ import annotations

import re

REPLICATE = r"-seed[1-9]\d*"


def parse_variant(name: str) -> tuple[str, int]:
    """The declared variant of a name, and the number of its training seed."""
    match = re.fullmatch(rf"(.+)({REPLICATE})", name)
    return (match[1], int(match[2].removeprefix("-seed"))) if match else (name, 0)

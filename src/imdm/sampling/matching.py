"""Entropy matching: the temperature at which a model's samples have another's entropy (Tab. 9, in parentheses).

Samples of low entropy have a low Gen-PPL, so that models compare fairly at equal entropy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imdm.errors import UserError
from imdm.stage.artifact import Scores, read_output

_HALVINGS = 16  # of the interval of temperatures; entropy moves in steps, so the tolerance may be out of reach


@dataclass(frozen=True)
class MatchedTemperature:
    """Where a search ended.

    Attributes:
        temperature: the best that was tried.
        target, reached: mean entropy that was wanted and that it has, nats.
        bound: "low" or "high" where the target lies beyond that end of the interval; else None.
    """

    temperature: float
    target: float
    reached: float
    bound: str | None


def match_entropy(entropy_at: Callable[[float], float], target: float, low: float, high: float, tolerance: float) -> MatchedTemperature:
    """Bisect temperatures (their logarithm) between `low` and `high` until the entropy is within `tolerance` of the target.

    Args:
        entropy_at: mean entropy at a temperature, nats; with common random numbers, so that it hardly wavers.
    """
    tried = {low: entropy_at(low), high: entropy_at(high)}
    bound = "low" if tried[low] > target + tolerance else "high" if tried[high] < target - tolerance else None
    if bound:
        temperature = {"low": low, "high": high}[bound]
        return MatchedTemperature(temperature, target, tried[temperature], bound)

    def distance(temperature: float) -> float:
        return abs(tried[temperature] - target)

    for _ in range(_HALVINGS):
        if min(map(distance, tried)) <= tolerance:
            break
        middle = math.sqrt(low * high)
        tried[middle] = entropy_at(middle)
        low, high = (middle, high) if tried[middle] < target else (low, middle)
    best = min(reversed(tried), key=distance)  # of equals the last, which is nearest to where entropy jumps
    return MatchedTemperature(best, target, tried[best], None)


def read_target(path: str | Path) -> tuple[str, dict[int, float]]:
    """The model of a scores.json of unconditional samples, and its mean entropy in nats by step count; else a UserError."""
    scores = read_output(path, Scores, "score")
    if scores["task"] == "conditional":
        raise UserError(f"{path} scores completions of prompts; give the scores.json of unconditional samples as --target.")
    return scores["model"], {int(steps): value for steps, value in scores["metrics"]["entropy"].items()}

"""Training curves: what every model's loss did, from its train_log.csv."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from imdm.errors import UserError
from imdm.files import require_regular
from imdm.params import parse_recipe
from imdm.results.names import BASELINE, TEACHER, name_of
from imdm.results.panels import GREY, INK, log_values, panels, tints

_PANELS = ("Pretraining", "SDTT", "Di4C", "ReDi", "Keyed")
_DASHES = {"finetune": "-.", "scratch": "--"}  # ReDi after SDTT is dashed too


def read_log(path: Path) -> pd.DataFrame:
    """step and loss (nats) of a train_log.csv, empty for a model that was loaded.

    Raises:
        UserError: it lacks one of the two, or has a field that is no number.
    """
    require_regular(path, "run the training again")
    try:
        log = pd.read_csv(path)[["step", "loss"]].astype({"step": int, "loss": float})
        if np.isfinite(log["loss"]).all():
            return log
        raise ValueError
    except (ValueError, TypeError, OverflowError, KeyError):
        raise UserError(f"{path} must have numbers in the columns step and loss; run the training again.") from None


def draw_training(logs: dict[str, Path], stem: Path, warm_start: int) -> None:
    """Draw a panel for each kind of training that left a log, rounds of one model after the other.

    Args:
        logs: train_log.csv by model: teacher, judge, VARIANT/RECIPE.
        warm_start: steps of a pretraining that have another loss, over whose end no curve is smoothed.
    """
    curves = {name: log for name in sorted(logs, key=_order) if len(log := read_log(logs[name]))}
    shown = [title for title in _PANELS if title in map(_panel, curves)] or ["Nothing was trained"]
    colours = tints(name.split("/")[0] for name in curves if "/" in name)
    with panels(stem, 1, len(shown), (max(2.6 * len(shown), 3.6), 2.9)) as ((*places,),):
        last: dict[str, int] = {}  # the step at which the rounds of a model so far end
        for name, log in curves.items():
            (variant, _, recipe), model, title = name.partition("/"), re.sub(r"\d+$", "", name), _panel(name)
            axes = places[shown.index(title)]
            if model in last:
                axes.axvline(last[model], color=GREY, linewidth=0.6, linestyle=":")
            steps, colour = log["step"] + last.get(model, 0), colours[variant] if recipe else INK if name == TEACHER else GREY
            axes.plot(steps, log["loss"], color=colour, linewidth=0.5, alpha=0.3)
            dashes = _DASHES.get(recipe, "--" if recipe.endswith("-redi") else "-")
            label: str | None = name_of(variant) if recipe else name.capitalize()
            pretrained = name == TEACHER or recipe == "scratch"
            for _, part in log["loss"].groupby(log["step"] > warm_start * pretrained):
                smooth = part.rolling(max(3, len(log) // 12), center=True, min_periods=1).mean()
                axes.plot(steps[part.index], smooth, color=colour, linewidth=1.2, linestyle=dashes, label=label)
                label = None
            if name == TEACHER and warm_start:
                axes.axvline(warm_start, color=GREY, linewidth=0.6, linestyle=":")
            last[model] = steps.iloc[-1]
        for axes, title in zip(places, shown, strict=True):
            axes.set(title=title, xlabel="optimizer steps")
            if title == "SDTT":
                log_values(axes)
        places[0].set(ylabel="loss (nats)")


def _order(name: str) -> tuple[bool, str, int]:
    """MDLM before other variants, rounds of one model by number."""
    number = re.search(r"\d+$", name)
    return "/" in name and not name.startswith(f"{BASELINE}/"), re.sub(r"\d+$", "", name), int(number[0]) if number else 0


def _panel(name: str) -> str:
    recipe = parse_recipe(name.partition("/")[2])
    names = recipe and {"Keyed": recipe.keyed, "ReDi": recipe.redi, "Di4C": recipe.di4c, "SDTT": recipe.rounds}
    return next((title for title, has in (names or {}).items() if has), _PANELS[0])

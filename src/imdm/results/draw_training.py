"""Training curves: what every model's loss did, from its train_log.csv."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

from imdm.errors import UserError
from imdm.params import parse_recipe
from imdm.results.names import BASELINE, TEACHER, name_of
from imdm.results.style import GREY, INK, colour, finish, log_values, others

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Log = tuple[list[int], list[float]]  # steps and losses
_PANELS = ("Pretraining", "SDTT", "Di4C", "ReDi", "Keyed")
_STYLES = {"redi": "-", "keyed": "-", "finetune": "-."}  # by recipe; from scratch, and ReDi after SDTT, are dashed


def read_log(path: Path) -> Log:
    """Steps and losses (nats) of a train_log.csv, empty for a model that was loaded.

    Raises:
        UserError: it lacks step or loss, or has a field that is no number.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if not {"step", "loss"} <= set(reader.fieldnames or ()):
            raise UserError(f"{path} must have the columns step and loss; run the training again.")
        try:
            logged = [(int(line["step"]), float(line["loss"])) for line in reader]
        except (ValueError, TypeError):
            raise UserError(f"{path} holds a field that is not a number; run the training again.") from None
    return [step for step, _ in logged], [loss for _, loss in logged]


def draw_training(logs: dict[str, Path], stem: Path) -> None:
    """Draw a panel for each kind of training that left a log.

    Args:
        logs: train_log.csv by model: teacher, judge, VARIANT/RECIPE.
    """
    from matplotlib import pyplot

    ordered = sorted(logs, key=lambda name: "/" in name and not name.startswith(f"{BASELINE}/"))
    curves = {name: log for name, log in ((name, read_log(logs[name])) for name in ordered) if log[0]}  # loaded models have none
    kinds = {title: {name: log for name, log in curves.items() if _kind(name) == title} for title in _PANELS}
    kinds = {title: logged for title, logged in kinds.items() if logged} or {"Nothing was trained": {}}
    tints = others(name.split("/")[0] for name in curves if "/" in name)
    figure, (panels,) = pyplot.subplots(1, len(kinds), figsize=(max(2.6 * len(kinds), 3.6), 2.9), squeeze=False)
    for axes, (title, logged) in zip(panels, kinds.items(), strict=True):
        (_rounds if title in ("SDTT", "Di4C") else _single)(axes, logged, tints)
        axes.set_title(title)
        axes.set_xlabel("optimizer steps")
        if title == "SDTT":
            log_values(axes)
    panels[0].set_ylabel("loss (nats)")
    finish(figure, stem)


def _kind(name: str) -> str:
    """The panel of a model."""
    recipe = parse_recipe(name.partition("/")[2])
    if recipe is None:
        return _PANELS[0]
    return "Keyed" if recipe.keyed else "ReDi" if recipe.redi else "Di4C" if recipe.di4c else "SDTT" if recipe.rounds else _PANELS[0]


def _line(axes: Axes, steps: list[int], losses: list[float], tint: str, label: str | None, linestyle: str = "-") -> None:
    half = max(3, len(losses) // 12) // 2
    windows = [losses[max(0, i - half) : i + half + 1] for i in range(len(losses))]  # a centred running mean, narrower at the ends
    axes.plot(steps, losses, color=tint, linewidth=0.5, alpha=0.3)
    axes.plot(steps, [sum(window) / len(window) for window in windows], color=tint, linewidth=1.2, linestyle=linestyle)
    axes.plot([], [], color=tint, linewidth=1.2, label=label)  # what the legend shows, whatever the line's style


def _single(axes: Axes, logs: dict[str, Log], tints: list[str]) -> None:
    """Trainings of one part."""
    for name, (steps, losses) in logs.items():
        variant, _, recipe = name.partition("/")
        if not recipe:
            _line(axes, steps, losses, INK if name == TEACHER else GREY, name.capitalize())
        else:
            _line(axes, steps, losses, colour(variant, tints), name_of(variant), _STYLES.get(recipe, "--"))


def _rounds(axes: Axes, logs: dict[str, Log], tints: list[str]) -> None:
    """Rounds of a model one after the other, with a line where one ends."""
    chains: dict[str, list[str]] = {}
    for name in sorted(logs, key=lambda name: int(re.search(r"\d+$", name)[0])):
        chains.setdefault(re.sub(r"\d+$", "", name), []).append(name)
    for chain in chains.values():
        variant, start = chain[0].split("/")[0], 0
        for name in chain:
            steps, losses = logs[name]
            if start:
                axes.axvline(start, color=GREY, linewidth=0.6, linestyle=":")
            _line(axes, [start + step for step in steps], losses, colour(variant, tints), name_of(variant) if name == chain[0] else None)
            start += steps[-1]

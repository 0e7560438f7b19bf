"""Training curves: what every model's loss did, from its train_log.csv."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from imdm.artifact import verify
from imdm.errors import UserError
from imdm.params import recipe_rounds
from imdm.report.style import GREY, INK, colour, grid, log_values, save
from imdm.report.tables import BASELINE
from imdm.report.views import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = {"step", "loss", "lr", "tokens_per_second", "seconds"}


def find_logs(models: Path) -> dict[str, Path]:
    """Every train_log.csv of a run, checked against its meta.json.

    Args:
        models: the folder RUN/models; the teacher's and the judge's logs are looked for beside it.

    Returns:
        path by model: teacher, judge, VARIANT/RECIPE.
    """
    found = {name: models.parent / name / "train_log.csv" for name in ("teacher", "judge")}
    found |= {f"{path.parts[-3]}/{path.parts[-2]}": path for path in sorted(models.glob("*/*/train_log.csv"), key=_order)}
    found = {name: path for name, path in found.items() if path.exists() and not name.endswith((".partial", ".old"))}
    for path in found.values():
        verify(path)
    return found


def _order(path: Path) -> tuple[bool, str]:
    """MDLM before the others, then by name."""
    return path.parts[-3] != BASELINE, str(path)


def read_log(path: Path) -> tuple[list[int], list[float]]:
    """Steps and losses (nats) of a train_log.csv.

    Raises:
        UserError: it has other columns or a field that is no number.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if not set(reader.fieldnames or ()) >= _COLUMNS:
            raise UserError(f"{path} must have the columns {', '.join(sorted(_COLUMNS))}; run the training again.")
        try:
            rows = [(int(row["step"]), float(row["loss"])) for row in reader]
        except (ValueError, TypeError):
            raise UserError(f"{path} holds a field that is not a number; run the training again.") from None
    return [step for step, _ in rows], [loss for _, loss in rows]


def smooth(values: list[float], width: int) -> list[float]:
    """Centred running mean over at most `width` values, narrower at the ends."""
    half = width // 2
    windows = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def training(logs: dict[str, Path], stem: Path) -> None:
    """Draw a panel for the teacher and the judge, and one for each of SDTT and ReDi that was trained."""
    from matplotlib import pyplot

    curves = {name: read_log(path) for name, path in logs.items()}
    rounds = {name: log for name, log in curves.items() if "/sdtt" in name and not name.endswith("-redi")}
    rectified = {name: log for name, log in curves.items() if name.endswith("redi")}
    single = {name: log for name, log in curves.items() if "/" not in name}
    panels = [kind for kind in (single, rounds, rectified) if kind]
    figure, grid_axes = pyplot.subplots(1, len(panels), figsize=(max(2.45 * len(panels), 3.6), 2.6), squeeze=False)
    for axes, kind in zip(grid_axes[0], panels, strict=True):
        draw, title = (_single, "Teacher and judge") if kind is single else (_rounds, "SDTT") if kind is rounds else (_rectified, "ReDi")
        draw(axes, kind)
        axes.set_title(title)
        axes.set_xlabel("optimizer steps")
        grid(axes)
        if kind is rounds:
            log_values(axes)
        axes.legend(loc="best", fontsize=7, handlelength=2.2)
    grid_axes[0][0].set_ylabel("loss (nats)")
    save(figure, stem)


def _line(axes: Axes, steps: list[int], losses: list[float], tint: str, label: str | None, linestyle: str = "-") -> None:
    axes.plot(steps, losses, color=tint, linewidth=0.5, alpha=0.3)
    axes.plot(steps, smooth(losses, max(3, len(losses) // 12)), color=tint, linewidth=1.2, label=label, linestyle=linestyle)


def _single(axes: Axes, logs: dict[str, tuple[list[int], list[float]]]) -> None:
    for name, (steps, losses) in logs.items():
        _line(axes, steps, losses, INK if name == "teacher" else GREY, name.capitalize(), "-" if name == "teacher" else "--")


def _others(logs: dict[str, tuple[list[int], list[float]]]) -> list[str]:
    return sorted({name.split("/")[0] for name in logs} - set(NAMES))


def _rounds(axes: Axes, logs: dict[str, tuple[list[int], list[float]]]) -> None:
    """Rounds of a variant one after the other, with a line where one ends."""
    for variant in dict.fromkeys(name.split("/")[0] for name in logs):
        mine = sorted((name for name in logs if name.startswith(f"{variant}/")), key=lambda name: recipe_rounds(name.split("/")[1]) or 0)
        start = 0
        for name in mine:
            steps, losses = logs[name]
            if start:
                axes.axvline(start, color=GREY, linewidth=0.6, linestyle=":")
            label = NAMES.get(variant, variant) if name == mine[0] else None
            _line(axes, [start + step for step in steps], losses, colour(variant, _others(logs)), label)
            start += steps[-1] if steps else 0


def _rectified(axes: Axes, logs: dict[str, tuple[list[int], list[float]]]) -> None:
    for name, (steps, losses) in logs.items():
        variant, recipe = name.split("/")
        after = recipe != "redi"
        label = f"{NAMES.get(variant, variant)}{', after SDTT' if after else ''}"
        _line(axes, steps, losses, colour(variant, _others(logs)), label, "--" if after else "-")

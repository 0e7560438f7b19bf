"""The Markov chain task in a table, a figure and words."""

from __future__ import annotations

from pathlib import Path

from imdm.errors import UserError
from imdm.report.cells import Cell, View, value_cell
from imdm.report.names import METRICS, name_of
from imdm.report.rows import Row, find, select
from imdm.report.style import COLOURS, GREY, INK, colour, curve, grid, legend, log_steps, log_values, save

TABLE = "chain"
_SHOWN = ("bigram_kl_nats", "nll_nats")
_KNOWN = {"nll_nats": "entropy_nats", "bigram_entropy_nats": "entropy_rate_nats"}  # what the data's metric is exactly
_LINES = {"best-mdm": (INK, "--", ""), "teacher": (GREY, "--", ""), "mdm": ("mdlm", "-", "o"), "imdm": ("imdm", "-", "s")}
_LINES |= {"imdm-driven": ("imdm-driven", "-", "^"), "imdm-driven-any-order": ("imdm-driven-any-order", ":", "v")}
_LINES |= {"keyed": ("keyed", "-", "D")}


def chain_rows(path: Path) -> list[Row]:
    """A row for each number of chain.csv, several seeds as their mean with the least and largest value as low and high.

    Raises:
        UserError: it is missing or lacks a column.
    """
    import pandas as pd

    key = ["states", "length", "model", "steps", "metric"]
    try:
        frame = pd.read_csv(path, dtype={"steps": "Int64"})
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run stages/chain.py.") from None
    if not {*key, "seed", "value", "low", "high"} <= set(frame.columns):
        raise UserError(f"{path} is not a result of stages/chain.py; run that stage again.")
    rows = []
    for (states, length, model, steps, metric), found in frame.groupby(key, sort=False, dropna=False):
        ends = found["low"].iloc[0], found["high"].iloc[0]
        if len(found) > 1:
            ends = found["value"].min(), found["value"].max()
        setting = f"V={states}, L={length}"
        rows.append(Row(TABLE, model, setting, None if pd.isna(steps) else int(steps), metric, found["value"].mean(), *map(float, ends)))
    return rows


def chain_view(rows: list[Row]) -> View:
    """A line for each model and step count, the data last."""
    rows = select(rows, table=TABLE)
    metrics = [name for name in METRICS if any(row.metric == name for row in rows)]
    setting = rows[0].setting if rows else ""
    body = []
    for model, steps in dict.fromkeys((row.model, row.steps) for row in rows if row.model != "data"):
        cells = [value_cell(find(rows, model=model, steps=steps, metric=metric)) for metric in metrics]
        body.append([Cell(name_of(model)), Cell(str(steps), steps), *cells])
    samples = [value_cell(find(rows, model="data", metric=metric)) for metric in metrics]
    body.append([Cell("Data, as many samples"), Cell(""), *samples])
    exact = [Cell("0") if name == "bigram_kl_nats" else value_cell(find(rows, model="data", metric=_KNOWN[name])) for name in metrics]
    body.append([Cell("Data, exact"), Cell(""), *exact])
    caption = (
        f"Sequences of a stationary Markov chain ({setting}), with 95% intervals (several seeds: least and largest). NLL: exact, under "
        "the chain; below the data's exact value, samples are more typical than the data. Bigram entropy and KL: of the samples' own "
        "bigrams, the KL from the chain's transitions, which counts wrong and missing ones; both are plug-in estimates, so that the "
        "KL of the data's own samples is the floor. Best MDM: exact conditional marginals in the place of a network. All metrics weigh "
        "what a model writes, so one whose marginals are too sharp can be below it without being nearer to the data."
    )
    return View(TABLE, "Markov chain task", caption, ["Model", "Steps", *(METRICS[name] for name in metrics)], body)


def chain_reading(rows: list[Row]) -> list[str]:
    """Which model is nearest to the data at each step count, in sentences made from the numbers."""
    rows = select(rows, table=TABLE)
    found = [row for row in rows if row.metric == "bigram_kl_nats" and row.steps is not None]
    texts = []
    for steps in dict.fromkeys(row.steps for row in found):
        best = find(found, steps=steps, model="best-mdm")
        students = sorted((row for row in found if row.steps == steps and row.model != "best-mdm"), key=lambda row: row.value)
        nearest, others = students[0], ", ".join(f"{name_of(row.model)} {row.value:.3f}" for row in students[1:])
        beats = "below" if nearest.high < best.low else "above" if nearest.low > best.high else "within the interval of"
        texts.append(
            f"In {steps} step{'s' if steps > 1 else ''} the samples of {name_of(nearest.model)} are nearest to the data (bigram KL "
            f"{nearest.value:.3f} nats, {beats} the best MDM's {best.value:.3f}); the others: {others}."
        )
    floor = find(rows, model="data", metric="bigram_kl_nats")
    return texts + [f"As many samples of the data itself have {floor.value:.3f}."] if floor else texts


def draw_chain_task(rows: list[Row], stem: Path) -> None:
    """Draw bigram KL and NLL against sampling steps, a line a model, with the data's own values dotted."""
    from matplotlib import pyplot

    rows = select(rows, table=TABLE)
    steps = sorted({row.steps for row in rows if row.steps})
    others = [tint for tint, _, _ in _LINES.values() if tint not in (GREY, INK) and tint not in COLOURS]
    figure, panels = pyplot.subplots(1, len(_SHOWN), figsize=(3.0 * len(_SHOWN), 2.8))
    for axes, metric in zip(panels, _SHOWN, strict=True):
        for model, (tint, line, marker) in _LINES.items():
            found = select(rows, model=model, metric=metric)
            if found:
                shade = tint if tint in (GREY, INK) else colour(tint, others)
                curve(axes, found, shade, linestyle=line, marker=marker, label="Teacher" if model == "teacher" else name_of(model))
        data = find(rows, model="data", metric=metric)
        axes.axhline(data.value, color=INK, linewidth=0.8, linestyle=":", label="Data")
        axes.set_ylabel(METRICS[metric])
        axes.set_xlabel("sampling steps")
        log_values(axes)
        log_steps(axes, steps)
        grid(axes)
    legend(figure, panels)
    save(figure, stem)

"""The dictionary task in tables, a figure and words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imdm.errors import UserError
from imdm.report.cells import Cell, View, value_cell
from imdm.report.names import METRICS, name_of
from imdm.report.rows import Row, find, select
from imdm.report.style import COLOURS, GREY, INK, colour, grid, legend, log_steps, save

if TYPE_CHECKING:
    from pandas import DataFrame

TABLE = "dictionary"
_VARIED = {"pairs": "random pairs", "noise_dim": "noise dimension", "hidden_size": "width", "length": "letters a word"}
_LINES = {"teacher": (GREY, "--", ""), "mdm": ("mdlm", "-", "o"), "imdm": ("imdm", "-", "s")}
_LINES |= {"imdm-driven": ("imdm-driven", "-", "^"), "imdm-driven-any-order": ("imdm-driven-any-order", ":", "v")}
_LINES |= {"keyed": ("keyed", "-", "D")}
_KEY = ["words", "length", "varied", "hidden_size", "pairs", "noise_dim", "model", "steps", "metric"]


def read_dictionary(path: Path) -> DataFrame:
    """dictionary.csv with seeds averaged: several seeds have their least and largest value as low and high.

    Raises:
        UserError: it is missing or lacks a column.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in ("pairs", "noise_dim")})
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run stages/dictionary.py.") from None
    if not {*_KEY, "seed", "value", "low", "high"} <= set(frame.columns):
        raise UserError(f"{path} is not a result of stages/dictionary.py; run that stage again.")
    groups = frame.groupby(_KEY, sort=False, dropna=False)
    found = groups.agg(seeds=("seed", "nunique"), value=("value", "mean"), low=("low", "min"), high=("high", "max"))
    several = groups["value"].agg(["min", "max"])
    many = found["seeds"] > 1
    found.loc[many, ["low", "high"]] = several.loc[many, ["min", "max"]].to_numpy()
    return found.reset_index()


def dictionary_rows(path: Path) -> list[Row]:
    """A row for each mean over seeds; `setting` names the cell."""
    rows = []
    for line in read_dictionary(path).to_dict("records"):
        if line["varied"] in ("pairs", "noise_dim") and line["model"] in ("data", "teacher"):
            continue  # those of the main grid
        varied = f", {_VARIED[line['varied']]} {int(line[line['varied']])}" if line["varied"] else ""
        setting = f"K={line['words']}, L={line['length']}{varied}"
        rows.append(Row(TABLE, line["model"], setting, line["steps"], line["metric"], line["value"], line["low"], line["high"]))
    return rows


def dictionary_view(rows: list[Row]) -> View:
    """Validity and coverage at each step count, the errors of one step, the data's own total correlation."""
    rows = select(rows, table=TABLE)
    columns = list(dict.fromkeys((row.metric, row.steps) for row in rows if row.model not in ("data",) and row.metric != "kl_bias_nats"))
    columns = sorted(columns, key=lambda column: (column[1], list(METRICS).index(column[0])))
    heads = [f"{METRICS[metric]}, {_steps(steps)}" for metric, steps in columns]
    body = []
    for setting, model in dict.fromkeys((row.setting, row.model) for row in rows if row.model != "data"):
        cells = [value_cell(find(rows, setting=setting, model=model, metric=metric, steps=steps)) for metric, steps in columns]
        own = [find(rows, setting=setting, model="data", metric=name, steps=1) for name in ("total_correlation_nats", "theorem_bound_nats")]
        body.append([Cell(setting), Cell(name_of(model)), *cells, *map(value_cell, own)])
    bias = max((row.value for row in rows if row.metric == "kl_bias_nats"), default=0.0)
    caption = (
        "K words of L letters, drawn at random and equally likely. Validity: samples that are words, with 95% intervals (several "
        "seeds: least and largest). Coverage: different words among K samples over the number expected of the data. Error, KL: "
        "KL(data || mean over noise of one step), exact over words, over noise by draws (too high by at most "
        f"{bias:.2g} nats on average); valid mass: mean over noise of -ln P(a word). Total correlation: what no model with one mask "
        "goes below in one step; Theorem 4.1's bound on it is one pair's mutual information, far lower for longer words."
    )
    heads += ["Total correlation of the data", "Theorem 4.1's bound"]
    return View(TABLE, "Dictionary task", caption, ["Cell", "Model", *heads], body)


def _steps(steps: int) -> str:
    return f"{steps} step{'s' if steps > 1 else ''}"


def dictionary_reading(rows: list[Row]) -> list[str]:
    """What the task shows, in sentences made from its numbers."""
    rows = select(rows, table=TABLE)
    valid = {(row.setting, row.model, row.steps): row.value for row in rows if row.metric == "validity_pct"}
    main = [setting for setting in dict.fromkeys(setting for setting, model, _ in valid if model == "imdm") if setting.count(",") == 1]
    found = []
    for steps in dict.fromkeys(steps for _, _, steps in valid):
        parts = []
        for setting in main:
            models = ("mdm", "imdm", "imdm-driven", "keyed")
            shares = [f"{valid[setting, model, steps]:.0f}" for model in models if (setting, model, steps) in valid]
            parts.append(f"{setting}: {' / '.join(shares)}")
        found.append(f"Valid in {_steps(steps)}, percent, MDM / IMDM / IMDM on noise-driven pairs / keyed: {'; '.join(parts)}.")
    spans = {}
    for key, words in _VARIED.items():
        levels = _levels(valid, main, words) if key != "length" else _lengths(valid, main)
        if len(levels) > 1:
            spans[words] = levels
    if spans:
        texts = [f"{words} {', '.join(f'{at}: {share:.0f}%' for at, share in levels)}" for words, levels in spans.items()]
        widest = max(spans, key=lambda name: max(v for _, v in spans[name]) - min(v for _, v in spans[name]))
        found.append(f"IMDM on random pairs in one step, by {'; '.join(texts)}. The widest span is that of {widest}.")
    correlation = [find(rows, setting=setting, model="data", metric="total_correlation_nats", steps=1) for setting in main]
    pairs = [(row.value, valid.get((row.setting, "imdm", 1)), valid.get((row.setting, "mdm", 1))) for row in correlation if row]
    pairs = sorted(pair for pair in pairs if None not in pair)
    if len(pairs) > 1:
        agree = sum(a[1] > b[1] for i, a in enumerate(pairs) for b in pairs[i + 1 :])
        total = len(pairs) * (len(pairs) - 1) // 2
        found.append(
            f"The data's total correlation runs from {pairs[0][0]:.1f} to {pairs[-1][0]:.1f} nats over the main cells; of two cells the "
            f"one with the lower has the higher one-step validity of IMDM in {agree} of {total} cases."
        )
    return found


def _levels(valid: dict, main: list[str], words: str) -> list[tuple[int, float]]:
    """(value, one-step validity of IMDM) of an ablation's cells."""
    found = []
    for (setting, model, steps), share in valid.items():
        head, _, value = setting.partition(f", {words} ")
        if model == "imdm" and steps == 1 and value and head in main:
            found.append((int(value), share))
    return sorted(found)


def _lengths(valid: dict, main: list[str]) -> list[tuple[int, float]]:
    """(L, one-step validity of IMDM) of the main cells whose K has the most lengths."""
    by_words: dict[str, list[tuple[int, float]]] = {}
    for setting in main:
        count, _, length = setting.removeprefix("K=").partition(", L=")
        if (setting, "imdm", 1) in valid:
            by_words.setdefault(count, []).append((int(length), valid[setting, "imdm", 1]))
    return sorted(max(by_words.values(), key=len, default=[]))


def draw_dictionary(path: Path, stem: Path) -> None:
    """Draw validity against K for each step count, and in one step against each setting that cells vary."""
    from matplotlib import pyplot

    frame = read_dictionary(path)
    frame = frame[frame["metric"] == "validity_pct"]
    main = frame[frame["varied"] == ""]
    length = main.groupby("length")["words"].nunique().idxmax()
    panels = [
        (main[(main["length"] == length) & (main["steps"] == n)], "words", f"{_steps(n)}, L={length}") for n in main["steps"].unique()
    ]
    for key, words in _VARIED.items():
        cells = main if key == "length" else frame[frame["varied"] == key]
        if cells.empty:
            continue
        one = cells[cells["steps"] == cells["steps"].min()]
        count = one.groupby("words")[key].nunique().idxmax()
        if key != "length":  # with the main grid's own value
            own = main[(main["words"] == count) & main["length"].isin(one["length"]) & (main["steps"] == one["steps"].min())]
            import pandas as pd

            one = pd.concat([one, own[own["model"].isin(one["model"]) & (own["model"] != "imdm-driven")]])
        one = one[(one["words"] == count) & one[key].notna()]
        if one[key].nunique() > 1:
            panels.append((one, key, f"{_steps(int(one['steps'].min()))}, K={count}: {words}"))
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(lines, columns, figsize=(2.6 * columns, 2.3 * lines + 0.4), sharey=True, squeeze=False)
    for place, (found, key, title) in zip(axes.flat, panels, strict=False):
        _panel(place, found, key)
        place.set_title(title)
        place.set_xlabel("words K" if key == "words" else _VARIED[key])
    for place in axes.flat[len(panels) :]:
        place.axis("off")
    for line in axes:
        line[0].set_ylabel("valid samples (%)")
    legend(figure, [place for place in axes.flat if place.lines])
    save(figure, stem)


def _panel(axes, found: DataFrame, key: str) -> None:
    others = [tint for tint, _, _ in _LINES.values() if tint != GREY and tint not in COLOURS]
    for model, (tint, line, marker) in _LINES.items():
        curve = found[found["model"] == model].sort_values(key).drop_duplicates(key)
        if len(curve):
            error = [(curve["value"] - curve["low"]).clip(lower=0), (curve["high"] - curve["value"]).clip(lower=0)]
            shade = tint if tint == GREY else colour(tint, others)
            label = "Teacher" if model == "teacher" else name_of(model)
            axes.errorbar(curve[key], curve["value"], yerr=error, color=shade, linestyle=line, marker=marker, label=label, capsize=2.2)
    log_steps(axes, sorted({int(value) for value in found[key]}))
    axes.axhline(100, color=INK, linewidth=0.5, linestyle=":")
    axes.set_ylim(0, 104)
    grid(axes)

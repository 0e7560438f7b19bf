"""A table of the paper of a run: this run's numbers beside the paper's, and where the two order models differently."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow.parquet import read_metadata

from imdm.data.blocks import Dataset
from imdm.params import Params
from imdm.results import plan
from imdm.results.collect import Record, held_out, ratios, read_result, require_same, scored
from imdm.results.digits import digits, value_cell
from imdm.results.exhibits.captions import paper_note
from imdm.results.exhibits.paper import Exhibit, Model, describe
from imdm.results.frame import RATIO, Number, decided, frame_of, lines, one, select
from imdm.results.layout import Column, Line, Side, Table
from imdm.results.names import METRICS, setting_of
from imdm.results.paper import paper_steps, paper_value
from imdm.results.view import DAGGER, Cell
from imdm.stage.artifact import verify

Trees = dict[str, dict[str, Any]]  # scores.json by the head of its model


def numbers(params: Params, name: str, results: Path) -> pd.DataFrame:
    """The frame of table03 or one of table06 to table14 as figures show it, without samples at another model's entropy.

    Args:
        results: the folder results/RUN.

    Raises:
        UserError: a file is missing, edited or not what its stage writes, or models were scored by different judges.
    """
    exhibit = describe(params, name)
    exhibit = replace(exhibit, models=tuple(model for model in exhibit.models if model.kind != "matched"))
    return _frame(exhibit, results, _read(exhibit, results))


def exhibit_table(params: Params, name: str, results: Path, data: Dataset) -> tuple[Table, pd.DataFrame]:
    """The declaration of a table of the paper, and its frame; raises as `numbers`."""
    exhibit = describe(params, name)
    trees = _read(exhibit, results)
    frame = _frame(exhibit, results, trees)
    parts = [_models(exhibit), _run(data, params), *(_scored(exhibit, results, trees, frame) if trees else []), exhibit.note]
    caption = " ".join(filter(None, [*parts, paper_note(exhibit.number), _dagger(exhibit, frame)]))
    return _table(exhibit, frame, caption), frame


def _scores(results: Path, model: Model) -> Path:
    return results / plan.scores(model.name, "" if model.kind == "samples" else model.kind)


def _read(exhibit: Exhibit, results: Path) -> Trees:
    if set(exhibit.metrics) == {"val_ppl"}:
        return {}
    keys = ("judge", "precision", "temperature", "conditional", "matching", "rows")
    trees = {model.head: read_result(_scores(results, model), *keys) for model in exhibit.models}
    require_same(results, {model.name: trees[model.head]["judge"] for model in exhibit.models}, "judge")
    return trees


def _frame(exhibit: Exhibit, results: Path, trees: Trees) -> pd.DataFrame:
    by_head = {model.head: _records(exhibit, model, results, trees.get(model.head)) for model in exhibit.models}
    models = {model.head: model for model in exhibit.models}
    records = [record for of_model in by_head.values() for record in of_model]
    for head, model in models.items():
        if model.against and "gen_ppl" in exhibit.metrics:
            base, task = models[model.against], trees[head]["conditional"]
            pair = (model.kind, model.name, base.kind, base.name)
            compared = ratios(results, [pair], by_head[head] + by_head[model.against], task["completions"] if task else 1)
            records += [record | {"setting": head} for record in compared]
    return frame_of(records)


def _records(exhibit: Exhibit, model: Model, results: Path, tree: dict[str, Any] | None) -> list[Record]:
    """This run's and the paper's numbers of a model; without steps at the side, those of the largest step count."""
    records = []
    if tree:
        records += scored(model.kind, model.name, tree)
        heats = tree["temperature"].items() if model.kind == "matched" else ()
        records += [{"kind": model.kind, "model": model.name, "steps": int(n), "metric": "temperature", "value": t} for n, t in heats]
    if "val_ppl" in exhibit.metrics:
        perplexities = held_out("validation", model.name, results / f"models/{model.name}/validation.json")
        records += [{"steps": None} | record for record in perplexities]
    records = [record for record in records if record["metric"] in exhibit.metrics]
    stepped = "steps" in exhibit.down
    if not stepped:
        largest = max((record["steps"] for record in records if record["steps"]), default=None)
        records = [record for record in records if record["steps"] in (None, largest)]
    for metric, table in exhibit.metrics.items():
        there = {record["steps"] for record in records if record["metric"] == metric}
        missing = set(paper_steps(table)) - there if stepped else ()
        records += [{"kind": model.kind, "model": model.name, "steps": n, "metric": metric} for n in sorted(missing)]
    for record in records:
        steps = record["steps"] if stepped else None
        paper = paper_value(exhibit.metrics[record["metric"]], record["metric"], steps, **model.paper) if model.paper else None
        record |= {"setting": model.head, "paper": paper}
    return [record for record in records if record.get("value") is not None or record["paper"] is not None]


def _table(exhibit: Exhibit, frame: pd.DataFrame, caption: str) -> Table:
    """As the paper lays it out, with the paper's line below each of this run."""
    shown = frame[frame["metric"] != RATIO]
    values = {"model": [model.head for model in exhibit.models], "metric": list(exhibit.metrics)}
    values["steps"] = [int(n) for n in sorted(shown["steps"].dropna().unique())]
    columns = []
    for place in _places([axis for axis in ("model", "metric") if axis not in exhibit.down], values):
        if len(select(shown, **_wanted(place))):
            metric = METRICS[place["metric"]] if "metric" in place and len(exhibit.metrics) > 1 else None
            head = ": ".join(filter(None, (place.get("model"), metric)))
            columns.append(Column(head, lambda line, place=place: _wanted(line | place), lambda number: _cell(number, frame)))
    body = []
    for place in _places(exhibit.down, values):
        of_paper = select(shown, **_wanted(place | {"steps": None}))["paper"].notna().any()  # the paper's table may lack a metric
        body += [place, place | {"paper": True}] if of_paper else [place]
    sides = [_side(axis) for axis in (*exhibit.down, "source")]
    return Table(exhibit.name, f"Table {exhibit.number}. {plan.title(exhibit.name)}", caption, sides, body, columns)


def _places(axes: Iterable[str], values: dict[str, list[Any]]) -> list[Line]:
    axes = list(axes)
    return [dict(zip(axes, place, strict=True)) for place in itertools.product(*(values[axis] for axis in axes))]


def _wanted(place: Line) -> dict[str, Any]:
    """The values of the frame's columns at a place of the table."""
    columns = {"model": "setting", "metric": "metric", "steps": "steps"}
    return {columns[axis]: value for axis, value in place.items() if axis in columns and value is not None}


def _side(axis: str) -> Side:
    head = {"steps": "Steps", "metric": "Metric", "model": "Model", "source": "Source"}[axis]

    def cell(line: Line) -> Cell:
        value = line[axis] if axis != "source" else "paper" if line.get("paper") else "this run"
        text = METRICS[value] if axis == "metric" else str(value)
        return Cell(text, value if axis == "steps" else None, "paper" if line.get("paper") else "")

    return Side(head, cell)


def _cell(number: Number | None, frame: pd.DataFrame) -> Cell:
    """This run's value, with a dagger where it is on the other side of what it is compared with than in the paper."""
    cell = value_cell(number)
    ratio = number and one(frame, setting=number.setting, steps=number.steps, metric=RATIO)
    return Cell(f"{cell.text} {DAGGER}", cell.sort, "disagree") if number and number.metric == "gen_ppl" and contrary(ratio) else cell


def contrary(ratio: Number | None) -> bool:
    """Whether the paper orders two models one way, and the paired interval of this run's ratio the other."""
    if ratio is None or ratio.paper is None:
        return False
    return ratio.paper > 1 if decided(ratio) == "ours" else ratio.paper < 1 if decided(ratio) == "base" else False


def _dagger(exhibit: Exhibit, frame: pd.DataFrame) -> str:
    """What the marked cells mean, or that there are none."""
    compared = list(lines(select(frame, metric=RATIO)))
    if not compared:
        return ""
    against = " or ".join(dict.fromkeys(model.against for model in exhibit.models if model.against))
    if any(map(contrary, compared)):
        return f"{DAGGER} Against {against} the order of Gen-PPL is not the paper's, and the paired 95% interval of the ratio leaves out 1."
    return f"Against {against} no order of Gen-PPL that the paired 95% interval of the ratio decides is other than the paper's."


def _models(exhibit: Exhibit) -> str:
    """Which model stands in each column, and how it was made."""
    models = [model for model in exhibit.models if model.kind != "matched"]
    settings = {setting_of(model.name) for model in models}
    if len(settings) == 1:
        named = [f"{model.head}: {model.name.partition('/')[0]}" for model in models]
        return f"{'; '.join(named)}. All are trained by {settings.pop()}."
    return f"{'; '.join(f'{model.head}: {model.name}, {setting_of(model.name)}' for model in models)}."


def _run(data: Dataset, params: Params) -> str:
    net = params.network
    size = f"width {net.hidden_size}, {net.blocks} block{'s' if net.blocks > 1 else ''}"
    return f"This run: {data.corpus}, {data.seq_len} tokens a block, vocabulary {data.vocab_size:,}, networks of {size}."


def _scored(exhibit: Exhibit, results: Path, trees: Trees, frame: pd.DataFrame) -> list[str]:
    """The judge, how many samples were scored and how, and where an entropy was not reached."""
    first = next(iter(trees.values()))
    judge, task = first["judge"], first["conditional"]
    own, precisions = digits(judge["held_out_perplexity"], "val_ppl"), ", ".join(sorted({tree["precision"] for tree in trees.values()}))
    samples = max(_samples(_scores(results, model), trees[model.head]) for model in exhibit.models)
    parts = [f"Judge: {judge['name']} ({judge['precision']}, own held-out perplexity {own})."]
    parts.append(f"{samples:,} samples a step count, sampled in {precisions}, with bootstrap 95% intervals.")
    if task:
        parts.append(
            f"{task['completions']} completions of each of {task['prompts']} prompts of {task['prompt_tokens']} tokens; the first "
            f"{task['scored_tokens']} tokens are scored, prompt included. MAUVE: plus and minus a standard deviation over k-means seeds."
        )
    if "steps" not in exhibit.down:
        parts.append(f"Gen-PPL and entropy at {frame['steps'].max()} steps.")
    missed = {int(n) for tree in trees.values() for n, step in (tree["matching"] or {"steps": {}})["steps"].items() if step["bound"]}
    if missed:
        parts.append(f"Step counts at which no temperature that was tried reaches SDTT's entropy: {', '.join(map(str, sorted(missed)))}.")
    return parts


def _samples(scores: Path, tree: dict[str, Any]) -> int:
    """Samples a step count."""
    per_sample = scores.with_name("per_sample.parquet")
    verify(per_sample)
    return read_metadata(per_sample).num_rows // len(tree["temperature"])

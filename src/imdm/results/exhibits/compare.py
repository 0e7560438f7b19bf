"""A table of the paper of a run: this run's numbers beside the paper's, and where the two order models differently."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from imdm.params import Params
from imdm.results import plan
from imdm.results.cells import digits, value_cell
from imdm.results.collect import Record, held_out, ratios, read_result, require_same, scored
from imdm.results.exhibits.paper import Exhibit, Model, describe
from imdm.results.frame import RATIO, Find, Number, decided, finder, frame_of, lines, select
from imdm.results.layout import Column, Line, make_view, numbers
from imdm.results.names import METRICS
from imdm.results.paper import paper_note, paper_steps, paper_value
from imdm.results.view import DAGGER, Cell, View

Scores = dict[str, dict[str, Any]]  # scores.json by the head of its model


def exhibit_table(params: Params, name: str, results: Path) -> tuple[View, pd.DataFrame]:
    """Table03 or one of table06 to table14, and its frame, where `setting` is the head of a model.

    Args:
        results: the folder results/RUN.

    Raises:
        UserError: a file is missing, edited or not what its stage writes, or models were scored by different judges.
    """
    exhibit = describe(params, name)
    scores = _read(exhibit, results) if set(exhibit.metrics) != {"val_ppl"} else {}
    records = [record for model in exhibit.models for record in _records(exhibit, model, results, scores.get(model.head))]
    for model in exhibit.models if "gen_ppl" in exhibit.metrics else ():
        if model.against:
            base, task = next(other for other in exhibit.models if other.head == model.against), scores[model.head]["conditional"]
            both = [record for record in records if record["setting"] in (model.head, base.head)]
            pairs = [(model.kind, model.name, base.kind, base.name)]
            records += [ratio | {"setting": model.head} for ratio in ratios(results, pairs, both, task["completions"] if task else 1)]
    frame = frame_of(records)
    return _view(exhibit, frame, _caption(exhibit, scores, frame)), frame


def _read(exhibit: Exhibit, results: Path) -> Scores:
    def read(model: Model) -> dict[str, Any]:
        file = plan.scores(model.name, "" if model.kind == "samples" else model.kind)
        return read_result(results / file, "judge", "precision", "temperature", "conditional", "matching", "rows")

    scores = {model.head: read(model) for model in exhibit.models}
    require_same(results, {model.name: scores[model.head]["judge"] for model in exhibit.models}, "judge")
    return scores


def _records(exhibit: Exhibit, model: Model, results: Path, scores: dict[str, Any] | None) -> list[Record]:
    """This run's and the paper's numbers of a model; without steps at the side, those of the largest step count."""
    about, records = {"kind": model.kind, "model": model.name}, []
    if scores:
        records += scored(model.kind, model.name, scores)
        heats = scores["temperature"].items() if model.kind == "matched" else ()
        records += [about | {"steps": int(n), "metric": "temperature", "value": heat} for n, heat in heats]
    if "val_ppl" in exhibit.metrics:
        perplexities = held_out("validation", model.name, results / f"models/{model.name}/validation.json")
        records += [{"steps": None} | record for record in perplexities]
    records = [record for record in records if record["metric"] in exhibit.metrics]
    stepped = "steps" in exhibit.down
    if not stepped:
        largest = max((record["steps"] for record in records if record["steps"]), default=None)
        records = [record for record in records if record["steps"] in (None, largest)]
    for metric, table in exhibit.metrics.items() if stepped else ():
        missing = set(paper_steps(table)) - {record["steps"] for record in records if record["metric"] == metric}
        records += [about | {"steps": n, "metric": metric} for n in sorted(missing)]
    for record in records:
        steps = record["steps"] if stepped else None
        paper = paper_value(exhibit.metrics[record["metric"]], record["metric"], steps, **model.paper) if model.paper else None
        record |= {"setting": model.head, "paper": paper}
    return [record for record in records if record.get("value") is not None or record["paper"] is not None]


def _view(exhibit: Exhibit, frame: pd.DataFrame, caption: str) -> View:
    """As the paper lays it out, with the paper's line below each of this run."""
    measured = frame[frame["metric"] != RATIO]
    values = {"setting": [model.head for model in exhibit.models], "metric": list(exhibit.metrics)}
    values["steps"] = [int(n) for n in sorted(measured["steps"].dropna().unique())]
    columns, find = [_side(axis) for axis in (*exhibit.down, "source")], finder(frame)
    for across in _places([axis for axis in ("setting", "metric") if axis not in exhibit.down], values):
        if len(select(measured, **across)):
            metric = METRICS[across["metric"]] if "metric" in across and len(exhibit.metrics) > 1 else None
            head = ": ".join(filter(None, (across.get("setting"), metric)))
            where = lambda line, across=across: {axis: line[axis] for axis in exhibit.down} | across  # noqa: E731
            columns.append(numbers(head, where, lambda number: _cell(number, find)))
    body = []
    for place in _places(exhibit.down, values):
        of_paper = select(measured, **{axis: value for axis, value in place.items() if axis != "steps"})["paper"]
        body += [place, place | {"paper": True}] if of_paper.notna().any() else [place]  # the paper's table may lack a metric
    return make_view(f"table{exhibit.number:02}", caption, columns, body, frame)


def _places(axes: Iterable[str], values: dict[str, list[Any]]) -> list[Line]:
    """Every combination of values of the frame's columns."""
    axes = list(axes)
    return [dict(zip(axes, place, strict=True)) for place in itertools.product(*(values[axis] for axis in axes))]


def _side(axis: str) -> Column:
    head = {"steps": "Steps", "metric": "Metric", "setting": "Model", "source": "Source"}[axis]

    def cell(line: Line, find: Find) -> Cell:
        value = line[axis] if axis != "source" else "paper" if line.get("paper") else "this run"
        text = METRICS[value] if axis == "metric" else str(value)
        return Cell(text, value if axis == "steps" else None, "paper" if line.get("paper") else "")

    return Column(head, cell)


def _cell(number: Number | None, find: Find) -> Cell:
    """This run's value, with a dagger where it is on the other side of what it is compared with than in the paper."""
    cell = value_cell(number)
    ratio = number and find(setting=number.setting, steps=number.steps, metric=RATIO)
    return Cell(f"{cell.text} {DAGGER}", cell.sort, "disagree") if number and number.metric == "gen_ppl" and contrary(ratio) else cell


def contrary(ratio: Number | None) -> bool:
    """Whether the paper orders two models one way, and the paired interval of this run's ratio the other."""
    if ratio is None or ratio.paper is None:
        return False
    return ratio.paper > 1 if decided(ratio) == "ours" else ratio.paper < 1 if decided(ratio) == "base" else False


def _caption(exhibit: Exhibit, scores: Scores, frame: pd.DataFrame) -> str:
    """Which models stand there, how they were scored, and what the paper's numbers and a dagger are."""
    parts = ["; ".join(f"{model.head}: {model.name}" for model in exhibit.models) + "."]
    if scores:
        first = next(iter(scores.values()))
        judge, precisions = first["judge"], ", ".join(sorted({tree["precision"] for tree in scores.values()}))
        own = digits(judge["held_out_perplexity"], "val_ppl")
        parts.append(f"Judge: {judge['name']} (own held-out perplexity {own}); sampled in {precisions}; bootstrap 95% intervals.")
        if task := first["conditional"]:
            prompts = f"{task['prompts']} prompts of {task['prompt_tokens']} tokens"
            parts.append(
                f"{task['completions']} completions of each of {prompts}; {task['scored_tokens']} tokens are scored, prompt included."
            )
            parts.append("MAUVE: one standard deviation.")
        matchings = [tree["matching"]["steps"] for tree in scores.values() if tree["matching"]]
        if missed := [steps for matching in matchings for steps, match in matching.items() if match["bound"]]:
            parts.append(f"No temperature that was tried reaches SDTT's entropy at {', '.join(missed)} steps.")
        if "steps" not in exhibit.down:
            parts.append(f"Gen-PPL and entropy at {frame['steps'].max()} steps.")
    parts += [exhibit.note, paper_note(exhibit.number)]
    if any(map(contrary, lines(select(frame, metric=RATIO)))):
        against = " or ".join(dict.fromkeys(model.against for model in exhibit.models if model.against))
        parts.append(f"{DAGGER} The order of Gen-PPL against {against} is not the paper's, and the ratio's paired interval leaves out 1.")
    return " ".join(filter(None, parts))

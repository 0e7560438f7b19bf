"""A table of the paper of a run: this run's numbers beside the paper's, and where the two order models differently."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import pandas as pd

from imdm.params import Params
from imdm.results.frame import RATIO, Find, Number, decided, frame_of, lines, select
from imdm.results.names import METRICS
from imdm.results.paper import Exhibit, Model, describe, paper_note, paper_steps, paper_value
from imdm.results.records import Record, held_out, ratios, read_result, require_same, scored
from imdm.results.table import Column, Line, digits, make_view, paper_cell, value_cell
from imdm.results.view import DAGGER, Cell, View

_HEADS = {"steps": "Steps", "metric": "Metric", "setting": "Model"}
_TREE = ("judge", "precision", "temperature", "conditional", "matching", "rows.steps")


def exhibit_table(params: Params, name: str, results: Path) -> tuple[View, pd.DataFrame]:
    """Table03 or one of table06 to table14, and its frame, where `setting` is the head of a model.

    Raises:
        UserError: a file is missing, edited or not what its stage writes, or models were scored by different judges.
    """
    exhibit, scores = describe(params, name), {}
    if set(exhibit.metrics) != {"val_ppl"}:
        scores = {model.head: read_result(results / model.scores, *_TREE) for model in exhibit.models}
        require_same(results, {model.name: scores[model.head] for model in exhibit.models}, "judge")
    by_head = {model.head: model for model in exhibit.models}
    records = {head: _records(exhibit, model, results, scores.get(head)) for head, model in by_head.items()}
    compared = []
    for head, model in by_head.items():
        if model.against and "gen_ppl" in exhibit.metrics:
            base, task = by_head[model.against], scores[head]["conditional"]
            pair, both = ((model.kind, model.name), (base.kind, base.name)), records[head] + records[base.head]
            compared += [ratio | {"setting": head} for ratio in ratios(results, [pair], both, task["completions"] if task else 1)]
    frame = frame_of([*itertools.chain(*records.values()), *compared])
    return _view(exhibit, frame, _caption(exhibit, scores, frame)), frame


def _records(exhibit: Exhibit, model: Model, results: Path, scores: dict[str, Any] | None) -> list[Record]:
    """This run's and the paper's numbers of a model; without steps at the side, those of the largest step count."""
    about, records = {"kind": model.kind, "model": model.name}, []
    if scores:
        heats = scores["temperature"].items() if model.kind == "matched" else ()
        records = scored(model.kind, model.name, scores)
        records += [about | {"steps": int(n), "metric": "temperature", "value": heat} for n, heat in heats]
    if "val_ppl" in exhibit.metrics:
        records += [{"steps": None} | r for r in held_out("validation", model.name, results / f"models/{model.name}/validation.json")]
    records, stepped = [record for record in records if record["metric"] in exhibit.metrics], "steps" in exhibit.down
    if stepped:
        ran = {(record["metric"], record["steps"]) for record in records}
        papers = [(metric, n) for metric, table in exhibit.metrics.items() for n in paper_steps(table)]
        records += [about | {"steps": n, "metric": metric} for metric, n in papers if (metric, n) not in ran]
    else:
        largest = max((record["steps"] for record in records if record["steps"]), default=None)
        records = [record for record in records if record["steps"] in (None, largest)]
    for record in records:
        metric, steps = record["metric"], record["steps"] if stepped else None
        paper = paper_value(exhibit.metrics[metric], metric, steps, **model.paper) if model.paper else None
        record |= {"setting": model.head, "paper": paper}
    return [record for record in records if record.get("value") is not None or record["paper"] is not None]


def _view(exhibit: Exhibit, frame: pd.DataFrame, caption: str) -> View:
    """As the paper lays it out, with the paper's line below each of this run."""
    measured = frame[frame["metric"] != RATIO]
    values: dict[str, list[Any]] = {"setting": [model.head for model in exhibit.models], "metric": list(exhibit.metrics)}
    values["steps"] = [int(n) for n in sorted(measured["steps"].dropna().unique())]

    def places(axes: list[str]) -> list[Line]:
        return [dict(zip(axes, place, strict=True)) for place in itertools.product(*(values[axis] for axis in axes))]

    columns = [_side(axis) for axis in (*exhibit.down, "source")]
    for across in places([axis for axis in ("setting", "metric") if axis not in exhibit.down]):
        if len(select(measured, **across)):
            metric = METRICS[across["metric"]] if "metric" in across and len(exhibit.metrics) > 1 else None
            columns.append(Column(": ".join(filter(None, (across.get("setting"), metric))), functools.partial(_cell, across)))
    body = []
    for place in places(list(exhibit.down)):
        of_paper = select(measured, **{axis: value for axis, value in place.items() if axis != "steps"})["paper"]
        body += [place, place | {"paper": True}] if of_paper.notna().any() else [place]  # the paper's table may lack a metric
    return make_view(f"table{exhibit.number:02}", caption, columns, body, frame)


def _side(axis: str) -> Column:
    """A column at the left: whose numbers a line has, or its step count, metric or model."""

    def cell(line: Line, find: Find) -> Cell:
        value: Any = line.get(axis)
        mark = "paper" if line.get("paper") else ""
        text = (mark or "this run") if axis == "source" else METRICS[value] if axis == "metric" else str(value)
        return Cell(text, value if axis == "steps" else None, mark)

    return Column(_HEADS.get(axis, "Source"), cell)


def _cell(across: Line, line: Line, find: Find) -> Cell:
    """The paper's value, or this run's, with a dagger where it is on the other side of what it is compared with than in the paper."""
    number = find(**{axis: value for axis, value in line.items() if axis != "paper"} | across)
    if line.get("paper"):
        return paper_cell(number)
    cell = value_cell(number)
    ratio = find(setting=number.setting, steps=number.steps, metric=RATIO) if number and number.metric == "gen_ppl" else None
    return Cell(f"{cell.text} {DAGGER}", cell.sort, "disagree") if contrary(ratio) else cell


def contrary(ratio: Number | None) -> bool:
    """Whether the paper orders two models one way, and the paired interval of this run's ratio the other."""
    if ratio is None or ratio.paper is None:
        return False
    return ratio.paper > 1 if decided(ratio) == "ours" else ratio.paper < 1 if decided(ratio) == "base" else False


def _caption(exhibit: Exhibit, scores: dict[str, dict[str, Any]], frame: pd.DataFrame) -> str:
    """Which models stand there, how they were scored, and what the paper's numbers and a dagger are."""
    parts = ["; ".join(f"{model.head}: {model.name}" for model in exhibit.models) + "."]
    if scores:
        first, precisions = next(iter(scores.values())), ", ".join(sorted({tree["precision"] for tree in scores.values()}))
        judge, own = first["judge"]["name"], digits(first["judge"]["held_out_perplexity"], "val_ppl")
        parts.append(f"Judge: {judge} (own held-out perplexity {own}); sampled in {precisions}; bootstrap 95% intervals.")
        if task := first["conditional"]:
            parts.append(
                f"{task['completions']} completions of each of {task['prompts']} prompts of {task['prompt_tokens']} tokens; "
                f"{task['scored_tokens']} tokens are scored, prompt included. MAUVE: one standard deviation."
            )
        matchings = [tree["matching"]["steps"].items() for tree in scores.values() if tree["matching"]]
        if missed := [steps for steps, match in itertools.chain(*matchings) if match["bound"]]:
            parts.append(f"No temperature that was tried reaches SDTT's entropy at {', '.join(missed)} steps.")
        if "steps" not in exhibit.down:
            parts.append(f"Gen-PPL and entropy at {frame['steps'].max()} steps.")
    parts += [exhibit.note, paper_note(exhibit.number)]
    if any(map(contrary, lines(select(frame, metric=RATIO)))):
        against = " or ".join(dict.fromkeys(model.against for model in exhibit.models if model.against))
        parts.append(f"{DAGGER} The order of Gen-PPL against {against} is not the paper's, and the ratio's paired interval leaves out 1.")
    return " ".join(filter(None, parts))

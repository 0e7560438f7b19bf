"""The frame of each kind of result of a run: samples, frontiers, audits, factorization errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from imdm.params import Params
from imdm.results import plan
from imdm.results.equal_entropy import frontier
from imdm.results.frame import DIFFERENCE, frame_of
from imdm.results.names import REAL, TEACHER, baseline_of
from imdm.results.paper import paper_of, scores_of
from imdm.results.read import read_parquet, read_result, require_same
from imdm.results.records import RESAMPLES, Record, held_out, ratios, scored, synthetic
from imdm.scoring.bootstrap import mean_interval
from imdm.scoring.reference_file import read_tensor


def main(results: Path, params: Params) -> pd.DataFrame:
    """The frame of tables.csv: samples, judge, teacher, real text and the synthetic task.

    Args:
        results: the folder results/RUN.

    Raises:
        UserError: a file is missing, edited, damaged or of another stage, or models do not fit each other.
    """
    models = plan.scored(params)
    trees = _scores(results, models)
    judge, compared = trees[TEACHER]["judge"], _compared(models)
    records = [record for model, tree in trees.items() for record in scored("samples", model, tree, paper_of(model))]
    records += scored(plan.DILATED, TEACHER, _scores(results, [TEACHER], plan.DILATED, judge)[TEACHER])
    for model, tree in trees.items():
        records += [{"kind": "example", "model": model, "metric": "broken_tokens"} | example for example in tree.get("examples", [])]
    records += ratios(results, [("samples", model, "samples", base) for model, base in compared.items()], records)
    records += held_out("judge", "judge", results / "judge/judge.json", judge["name"])
    records += held_out("validation", TEACHER, results / f"models/{TEACHER}/validation.json")
    return frame_of([*synthetic(results / "synthetic/synthetic.json"), *records, *controls(results, judge)])


def scoreboard(results: Path, params: Params) -> pd.DataFrame:
    """The frame of other systems' samples, of real text and of the controls; errors as `main`'s."""
    named = read_result(results / "judge/judge.json", "name", "held_out_perplexity")
    records = held_out("judge", "judge", results / "judge/judge.json", named["name"]) + controls(results)
    for model, tree in _scores(results, plan.external(params), judge=read_result(results / plan.CONTROLS, "judge")["judge"]).items():
        records += scored("samples", model, tree)
    return frame_of(records)


def _scores(results: Path, models: list[str], kind: str = "samples", judge: dict[str, Any] | None = None) -> dict[str, Record]:
    """The scores.json of models' samples; raises UserError where they were not all scored by `judge`, or by that of the first."""
    folder = "" if kind == "samples" else kind
    keys = ("judge", "precision", "temperature", "rows.steps")
    trees = {model: read_result(results / scores_of(model, folder), *keys) for model in models}
    require_same(results / folder / "scores", {model: tree["judge"] for model, tree in trees.items()}, "judge", judge)
    return trees


def controls(results: Path, judge: dict[str, Any] | None = None) -> list[Record]:
    """The numbers of real text and of the controls; raises UserError where they were not scored by `judge`."""
    real = read_result(results / "reference/reference.json", "unconditional")["unconditional"]
    tree = read_result(results / plan.CONTROLS, "judge", "rows.model", "rows.steps")
    require_same(results, {"controls": tree["judge"]}, "judge", judge)
    about = {"kind": "reference", "model": REAL, "setting": f"{real['split']} split"}
    records = [about | {"metric": name} | row for name, row in real.items() if isinstance(row, dict) and "value" in row]
    return records + [{"kind": "control"} | row for row in tree["rows"]]


def frontiers(results: Path, params: Params) -> pd.DataFrame:
    """The frame of frontier.csv: every model's Gen-PPL and entropy over temperatures, and Gen-PPL at equal entropy; errors as `main`'s."""
    models, folder = plan.models(params), results / "frontier"
    trees = {model: read_result(folder / model / "frontier.json", "judge", "sampled_at", "rows.steps") for model in models}
    judge = read_result(results / scores_of(TEACHER), "judge")["judge"]
    require_same(folder, {model: tree["judge"] for model, tree in trees.items()}, "judge", judge)
    columns = ["steps", "temperature", "sample", "nll", "tokens", "entropy"]
    drawn = {model: read_parquet(folder / model / "per_sample.parquet", columns) for model in models}
    entropies = read_tensor(results / "reference/reference.json", "unconditional.entropy")
    return frame_of(frontier(trees, drawn, entropies, _compared(models)))


def _compared(models: list[str]) -> dict[str, str]:
    """By model the one that its ratios are taken over."""
    return {model: base for model in models if (base := baseline_of(model)) in models}


def audits(results: Path, params: Params) -> pd.DataFrame:
    """The frame of all audits: kind `copies` of samples, `pairs` of what models know of pairs.

    What depends on couplings names the model that made them, also where it is of the teacher or of real text; a number
    that several audits hold comes once.
    """
    records: dict[tuple[Any, ...], Record] = {}
    for audited in plan.models(params):
        tree = read_result(results / f"audit/{audited}/audit.json", "teacher", "split", "rows.model", "rows.steps")
        for measured in tree["rows"]:
            model, metric = measured["model"], measured["metric"]
            kind = "pairs" if metric.startswith(("nll", "equal", "noise_gap", "pair_gap")) else "copies"
            couplings = tree["teacher"] if kind == "pairs" or "coupling" in metric else ""
            if couplings or audited in (model, TEACHER):
                setting = f"{tree['split']} split" if model == REAL else ""
                key = (kind, model, couplings, measured["steps"], metric)
                records.setdefault(key, {"kind": kind, "couplings": couplings, "setting": setting} | measured)
    return frame_of(records.values())


def unmasking(results: Path, params: Params) -> pd.DataFrame:
    """The frame of samples as the run draws them and with the positions of a step far apart, and of paired ratios of Gen-PPL: the
    second over the first, and of the second each model over what it is compared with. Errors as `main`'s.
    """
    models = plan.models(params)
    of_kinds = [(kind, _scores(results, models, kind)) for kind in ("samples", plan.DILATED)]
    records = [record for kind, trees in of_kinds for model, tree in trees.items() for record in scored(kind, model, tree)]
    pairs = [(plan.DILATED, model, "samples", model) for model in models]
    pairs += [(plan.DILATED, model, plan.DILATED, base) for model, base in _compared(models).items()]
    return frame_of(records + ratios(results, pairs, records))


def factorization(results: Path, params: Params) -> pd.DataFrame:
    """The frame of the factorization errors, and of paired differences to MDLM with the same recipe, both in nats a token.

    Raises:
        UserError: a model was not measured, or with other settings than the teacher.
    """
    models, folder = plan.factorized(params), results / "factorization"
    keys = ("teacher", "noise_draws", "seq_len")
    trees = {model: read_result(folder / model / "factorization.json", *keys, "rows.steps") for model in models}
    tables = {model: read_parquet(folder / model / "per_sequence.parquet") for model in models}
    for key in keys:
        require_same(folder, {model: tree[key] for model, tree in trees.items()}, key)
    records = []
    for model, tree in trees.items():
        records += [{"kind": "factorization", "model": model} | row for row in tree["rows"]]
        if (base := baseline_of(model)) in trees:
            about = {"kind": "factorization", "model": model, "against": base, "metric": DIFFERENCE}
            both, column = tables[model].merge(tables[base], on=["steps", "sequence"]), f"error_m{tree['noise_draws'][-1]}"
            for steps, group in both.groupby("steps", sort=False):  # over sequences that both have
                values = ((group[f"{column}_x"] - group[f"{column}_y"]) / tree["seq_len"]).to_numpy()
                low, high = mean_interval(values, RESAMPLES, 0)
                records.append(about | {"steps": int(steps), "value": float(values.mean()), "low": low, "high": high})
    whole = f"error_m{trees[TEACHER]['noise_draws'][-1]}_nats_per_sequence"  # what a language says exactly stands under the estimate
    for row in read_result(results / "judge/judge.json").get("rows", []):
        metric = whole if row["metric"] == "total_correlation_nats" else row["metric"]
        records.append({"kind": "factorization", "model": "data"} | row | {"metric": metric})
    return frame_of(records)

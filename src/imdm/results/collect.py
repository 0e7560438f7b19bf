"""The frame of each kind of result of a run, in the folder `results`: samples, frontiers, audits, factorization errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imdm.errors import UserError
from imdm.params import Params
from imdm.results import plan
from imdm.results.frame import DIFFERENCE, RATIO, frame_of
from imdm.results.names import REAL, TEACHER, baseline_of
from imdm.results.paper import paper_of, scores_of
from imdm.results.records import RESAMPLES, Record, held_out, ratios, read_parquet, read_result, require_same, scored, synthetic
from imdm.scoring.bootstrap import mean_interval, resamples
from imdm.scoring.frontier import Frontier, at_entropy, end_of, interval, with_resamples
from imdm.scoring.reference_file import read_tensor


def main(results: Path, params: Params) -> pd.DataFrame:
    """The frame of tables.csv: samples, judge, teacher, real text and the synthetic task.

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
    records += ratios(results, [(("samples", model), ("samples", base)) for model, base in compared.items()], records)
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
    keys = ("judge", "precision", "temperature", "rows.steps")
    trees = {model: read_result(results / scores_of(model, kind), *keys) for model in models}
    require_same(results, {Path(scores_of(model, kind)).parent: tree for model, tree in trees.items()}, "judge", judge)
    return trees


def controls(results: Path, judge: dict[str, Any] | None = None) -> list[Record]:
    """The numbers of real text and of the controls; raises UserError where they were not scored by `judge`."""
    real = read_result(results / "reference/reference.json", "unconditional")["unconditional"]
    tree = read_result(results / plan.CONTROLS, "judge", "rows.model", "rows.steps")
    require_same(results, {"controls": tree}, "judge", judge)
    about = {"kind": "reference", "model": REAL, "setting": f"{real['split']} split"}
    records = [about | {"metric": name} | row for name, row in real.items() if isinstance(row, dict) and "value" in row]
    return records + [{"kind": "control"} | row for row in tree["rows"]]


def frontiers(results: Path, params: Params) -> pd.DataFrame:
    """The frame of frontier.csv: every model's Gen-PPL and entropy over temperatures, and Gen-PPL at equal entropy; errors as `main`'s."""
    models, folder = plan.models(params), results / "frontier"
    trees = {model: read_result(folder / model / "frontier.json", "judge", "sampled_at", "rows.steps") for model in models}
    judge = read_result(results / scores_of(TEACHER), "judge")["judge"]
    require_same(folder, trees, "judge", judge)
    columns = ["steps", "temperature", "sample", "nll", "tokens", "entropy"]
    drawn = {model: read_parquet(folder / model / "per_sample.parquet", columns) for model in models}
    entropies = read_tensor(results / "reference/reference.json", "unconditional.entropy")
    return frame_of(equal_entropy(trees, drawn, entropies, _compared(models)))


def equal_entropy(
    trees: Mapping[str, dict[str, Any]], samples: Mapping[str, pd.DataFrame], real: np.ndarray, compared: Mapping[str, str]
) -> list[Record]:
    """Records of kind `frontier`, the points of each model, and of kind `equal_entropy`, which are interpolated between them.

    Two entropies are given to every model: that of the teacher's own samples at the same number of steps, whose trade of
    quality for diversity a student inherits (Table 9 takes SDTT's at the same number of steps), and that of held-out text.
    All models and temperatures share the resamples, which makes ratios paired; the teacher's entropy is resampled with
    them, the data's by itself, so that the intervals cover both.

    Args:
        trees, samples: frontier.json and per_sample.parquet by model.
        real: entropy of each real text in nats, [m].
        compared: by model the one that its ratio is taken over.

    Raises:
        UserError: models were sampled at other steps or temperatures, or other numbers of samples, than the teacher.
    """
    records = [{"kind": "frontier", "model": model} | point for model, tree in trees.items() for point in tree["rows"]]
    curves = {model: _frontiers(model, samples) for model in trees}
    sampled_at = trees[TEACHER]["sampled_at"]
    picks = with_resamples(len(real), resamples(len(real), RESAMPLES, 1))
    targets = {("data", steps): real[picks].mean(1) for steps in curves[TEACHER]}
    targets |= {("teacher", n): curve.entropy[:, list(curve.temperatures).index(sampled_at)] for n, curve in curves[TEACHER].items()}
    records.append(_record(REAL, "data", None, "entropy", next(iter(targets.values()))))
    records += [_record(TEACHER, "teacher", n, "entropy", targets["teacher", n]) for n in curves[TEACHER]]
    for (target, steps), entropy in targets.items():
        log_ppl = {}
        for model, by_steps in curves.items():
            log_ppl[model], log_temperature = at_entropy(by_steps[steps], entropy)
            records.append(_record(model, target, steps, "gen_ppl", log_ppl[model], by_steps[steps]))
            records.append(_record(model, target, steps, "temperature", log_temperature))
        for model, base in compared.items():
            with np.errstate(invalid="ignore"):  # inf - inf: both are out of reach, the ratio is not known
                difference = log_ppl[model] - log_ppl[base]
            records.append(_record(model, target, steps, RATIO, difference) | {"against": base})
    return records


def _frontiers(model: str, samples: Mapping[str, pd.DataFrame]) -> dict[int, Frontier]:
    """The frontier of a model by step count."""
    keys, table = ["steps", "temperature", "sample"], samples[model]
    if not np.array_equal(table[keys], samples[TEACHER][keys]):
        raise UserError(f"the frontier of {model} has other steps, temperatures or samples than the teacher's; run stage frontier again.")
    count = table["sample"].max() + 1
    picks = with_resamples(count, resamples(count, RESAMPLES, 0))
    curves = {}
    for steps, part in table.groupby("steps"):
        nll, tokens, entropy = (part[name].to_numpy(float).reshape(-1, count) for name in ("nll", "tokens", "entropy"))
        curves[int(steps)] = Frontier.of(part["temperature"].unique(), nll, tokens, entropy, picks)
    return curves


def _record(model: str, target: str, steps: int | None, metric: str, values: np.ndarray, curve: Frontier | None = None) -> Record:
    """The record of a value and its resamples [1 + R], which are logarithms but for entropies.

    Where the target is out of reach there is no value; that of a Gen-PPL has the Gen-PPL at the nearest entropy that
    was reached as `low` or `high`.
    """
    record = {"kind": "equal_entropy", "model": model, "target": target, "steps": steps, "metric": metric}
    scale = (lambda end: end) if metric == "entropy" else np.exp
    if np.isfinite(values[0]):
        low, high = (end if end is None else float(scale(end)) for end in interval(values[1:]))
        return record | {"value": float(scale(values[0])), "low": low, "high": high}
    if curve is None:
        return record
    above = values[0] > 0
    return record | {"low" if above else "high": float(np.exp(end_of(curve, above)))}


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
    pairs = [((plan.DILATED, model), ("samples", model)) for model in models]
    pairs += [((plan.DILATED, model), (plan.DILATED, base)) for model, base in _compared(models).items()]
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
        require_same(folder, trees, key)
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

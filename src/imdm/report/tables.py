"""From scores to tidy rows: every number of Tables 1, 2, 4 and 5 with its interval and the paper's value."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imdm.errors import UserError
from imdm.params import Params, parse_recipe
from imdm.report.audit_rows import audit_rows
from imdm.report.equal_entropy import frontier_rows
from imdm.report.names import RATIO, baseline_of, setting_of
from imdm.report.paper import paper_value
from imdm.report.rows import Row, find, select
from imdm.report.seeds import seed_rows
from imdm.scoring.reference_file import read_tensor

if TYPE_CHECKING:
    from pandas import DataFrame

_RESAMPLES = 1000
_MAIN = {"gen_ppl": 4, "entropy": 5}  # metric: the paper's table

# The paper's names of what it ran. Its "Error" is only possible as the valid mass, so error_kl_nats has none.
_VARIANTS = {"mdlm": "MDLM", "imdm": "IMDM"}
_METHODS = {(True, False): "SDTT", (False, True): "ReDi", (True, True): "SDTT+ReDi"}  # by SDTT, ReDi
_SYNTHETIC = {"mdm": "MDM", "imdm": "IMDM", "random": "Random sequence"}
_NOISE = {"noise A": "noise=eps_A", "noise B": "noise=eps_B"}


def read_json(path: Path, keys: Iterable[str], stage: str) -> dict[str, Any]:
    """A stage's JSON result.

    Raises:
        UserError: it is missing, damaged, or lacks one of `keys`.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run stages/{stage}.py for it.") from None
    except ValueError:
        tree = None
    if not isinstance(tree, dict) or not set(keys) <= set(tree):
        raise UserError(f"{path} is not a result of stages/{stage}.py (it must hold {', '.join(keys)}); run that stage again.")
    return tree


Found = tuple[dict[str, dict[str, Any]], "dict[str, DataFrame]"]


def read_models(folder: Path, params: Params, stage: str, name: str, keys: Iterable[str], columns: list[str]) -> Found:
    """What a stage found of the teacher, of every model of `compare`, and of those of `compare.also` that are there.

    Args:
        folder: with teacher/NAME and VARIANT/RECIPE/NAME, and per_sample.parquet beside each.
        keys: what NAME holds.
        columns: of per_sample.parquet.

    Returns:
        NAME and per_sample.parquet by model, the teacher first.

    Raises:
        UserError: a model of the main comparison is missing, or models were scored by different judges.
    """
    import pandas as pd

    wanted = ["teacher"] + [f"{v}/{r}" for r in params.compare.recipes for v in params.compare.variants]
    also = [model for model in map("/".join, params.models()) if model not in wanted and (folder / model / name).exists()]
    found, samples = {}, {}
    for model in wanted + also:
        file = folder / model / name
        if not file.exists():
            raise UserError(f"{file} does not exist; run stages/{stage}.py for {model}, or take it out of compare.")
        found[model] = read_json(file, keys, stage)
        try:
            samples[model] = pd.read_parquet(file.with_name("per_sample.parquet"), columns=columns)
        except FileNotFoundError:
            raise UserError(f"{file.with_name('per_sample.parquet')} does not exist; run stages/{stage}.py for {model} again.") from None
        if found[model]["judge"] != found["teacher"]["judge"]:
            raise UserError(f"{file} was scored by another judge than the teacher's samples; run stages/{stage}.py for {model} again.")
    return found, samples


def score_rows(scores: dict[str, dict[str, Any]], samples: dict[str, DataFrame]) -> list[Row]:
    """Rows of Table 4 (Gen-PPL and its ratio to MDLM's), Table 5 (entropy) and `quality` (all other metrics)."""
    rows = []
    for model, scored in scores.items():
        setting, named = setting_of(model), paper_name(model)
        for row in scored["rows"]:
            if row["value"] is None:  # not measurable, as MAUVE of too few samples
                continue
            number = _MAIN.get(row["metric"])
            paper = paper_value(number, row["metric"], row["steps"], **named) if number and named else None
            table = str(number) if number else "quality"
            rows.append(Row(table, model, setting, row["steps"], row["metric"], row["value"], row.get("low"), row.get("high"), paper))
    return rows + _ratio_rows(rows, samples)


def paper_name(model: str) -> dict[str, str] | None:
    """method and variant of a model in Tables 4 and 5, None where the paper has none like it; it ran 7 rounds of SDTT."""
    variant, _, name = model.partition("/")
    recipe = parse_recipe(name)
    if variant not in _VARIANTS or recipe is None or recipe.di4c or recipe.keyed or not (recipe.rounds or recipe.redi):
        return None
    return {"variant": _VARIANTS[variant], "method": _METHODS[recipe.rounds > 0, recipe.redi]}


def _ratio_rows(rows: list[Row], samples: dict[str, DataFrame]) -> list[Row]:
    """Gen-PPL of each variant over that of MDLM with the same recipe, training seed and steps, with a paired bootstrap interval."""
    found = []
    for row in select(rows, metric="gen_ppl"):
        base = find(rows, metric="gen_ppl", model=baseline_of(row.model), steps=row.steps)
        if base is None:
            continue
        variant = row.model.partition("/")[0]
        low, high = paired_interval(*(_of_steps(samples[model], row.steps) for model in (row.model, base.model)))
        paper = row.paper / base.paper if row.paper and base.paper else None
        found.append(Row("4", f"{variant}:{base.model}", row.setting, row.steps, RATIO, row.value / base.value, low, high, paper))
    return found


def _of_steps(samples: DataFrame, steps: int | None) -> DataFrame:
    return samples[samples["steps"] == steps].set_index("sample").sort_index()


def paired_interval(ours: DataFrame, base: DataFrame) -> tuple[float | None, float | None]:
    """95% bootstrap interval of the ratio of two corpus-level Gen-PPLs, over samples that share their random numbers.

    Args:
        ours, base: nll (nats) and tokens, indexed by sample; only samples that both have are used.

    Returns:
        low, high; None where the two have no sample in common.
    """
    import numpy as np

    both = ours.join(base.rename(columns={"nll": "base_nll", "tokens": "base_tokens"})[["base_nll", "base_tokens"]], how="inner")
    if both.empty:
        return None, None
    picks = np.random.default_rng(0).integers(len(both), size=(_RESAMPLES, len(both)))
    sums = {name: both[name].to_numpy(float)[picks].sum(1) for name in ("nll", "tokens", "base_nll", "base_tokens")}
    ratios = np.exp(sums["nll"] / sums["tokens"] - sums["base_nll"] / sums["base_tokens"])
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def winner(ours: Row | None, base: Row | None) -> str:
    """Whose Gen-PPL is lower: `ours`, `base`, `tie` where the 95% intervals overlap, `` where one is missing."""
    if ours is None or base is None or None in (ours.low, ours.high, base.low, base.high):
        return ""
    return "ours" if ours.high < base.low else "base" if base.high < ours.low else "tie"


def synthetic_rows(synthetic: dict[str, Any]) -> list[Row]:
    """Rows of Tables 1 and 2: one a seed, and their mean with the least and largest."""
    rows, groups = [], {}
    for row in synthetic["rows"]:
        noise = row["setting"] if row["table"] == 2 else ""
        paper = _synthetic_paper(row["table"], row["model"], noise, row["metric"])
        setting = f"{noise}, seed {row['seed']}".removeprefix(", ")
        rows.append(Row(str(row["table"]), row["model"], setting, 1, row["metric"], row["value"], row["low"], row["high"], paper))
        groups.setdefault((str(row["table"]), row["model"], noise, row["metric"], paper), []).append(row["value"])
    means = []
    for (table, model, noise, metric, paper), values in groups.items():
        setting = f"{noise}, {mean_setting(len(values))}".removeprefix(", ")
        means.append(Row(table, model, setting, 1, metric, sum(values) / len(values), min(values), max(values), paper))
    return means + rows


def _synthetic_paper(table: int, model: str, noise: str, metric: str) -> float | None:
    """The paper's number of Tables 1 and 2; `noise` is that of Table 2."""
    if model not in _SYNTHETIC:
        return None
    where = {"setting": "no noise" if model == "mdm" else _NOISE[noise]} if table == 2 else {}
    metric = "factorization_error_nats" if metric == "error_valid_mass_nats" else metric
    return paper_value(table, metric, method=_SYNTHETIC[model], **where)


def mean_setting(seeds: int) -> str:
    """The setting of a mean over seeds."""
    return f"mean of {seeds} seed{'s' if seeds != 1 else ''}"


def model_rows(
    scores: dict[str, dict[str, Any]], judge: dict[str, Any], reference: dict[str, Any], validation: dict[str, Any]
) -> list[Row]:
    """What judge, teacher and real text are worth: perplexities beside the unigram's, parameters, entropy, sampler precision."""
    name, real = scores["teacher"]["judge"]["name"], reference["unconditional"]
    rows = [_held_out("judge", name, judge, "held_out_perplexity"), _held_out("teacher", "", validation, "valid_perplexity")]
    for model, setting, found in (("judge", name, judge), ("teacher", "", validation)):
        rows += [Row("models", model, setting, None, key, found[key]) for key in ("unigram_perplexity", "parameters") if key in found]
    for metric, table in _MAIN.items():
        triple = real[metric]
        rows.append(Row(str(table), "test text", f"{real['split']} split", None, metric, triple["value"], triple["low"], triple["high"]))
    precisions = [scored["precision"] for scored in scores.values()]
    return rows + [Row("models", "sampler", p, None, "models_sampled", precisions.count(p)) for p in sorted(set(precisions))]


def _held_out(model: str, setting: str, found: dict[str, Any], metric: str) -> Row:
    return Row("models", model, setting, None, metric, found[metric], found["low"], found["high"])


def read_audits(folder: Path, models: Iterable[str]) -> list[Row]:
    """Rows of the audits of the models that were scored.

    Raises:
        UserError: one is missing.
    """
    return audit_rows({model: read_json(folder / model / "audit.json", ("model", "teacher", "split", "rows"), "audit") for model in models})


def build_rows(
    folder: Path, frontier: Path, audits: Path, judge: Path, reference: Path, validation: Path, synthetic: Path, params: Params
) -> list[Row]:
    """Every row of tables.csv from a run's scores, frontiers and audits.

    Raises:
        UserError: a file is missing or not what its stage writes.
    """
    values = ["sample", "nll", "tokens"]
    scores, samples = read_models(folder, params, "score", "scores.json", ("model", "judge", "precision", "rows"), ["steps", *values])
    keys, columns = ("judge", "sampled_at", "rows"), ["steps", "temperature", *values, "entropy"]
    frontiers, drawn = read_models(frontier, params, "frontier", "frontier.json", keys, columns)
    if frontiers["teacher"]["judge"] != scores["teacher"]["judge"]:
        raise UserError(f"{frontier} was scored by another judge than {folder}; run stages/frontier.py again.")
    judged = read_json(judge, ("held_out_perplexity", "low", "high", "parameters"), params.judge.stage)
    real = read_json(reference, ("unconditional",), "reference")
    taught = read_json(validation, ("valid_perplexity", "low", "high", "unigram_perplexity", "parameters"), params.teacher.stage)
    rows = synthetic_rows(read_json(synthetic, ("rows",), "synthetic")) + score_rows(scores, samples)
    rows += frontier_rows(frontiers, drawn, read_tensor(reference, "unconditional.entropy"))
    rows += read_audits(audits, scores) + model_rows(scores, judged, real, taught)
    order = ("1", "2", "4", "5", "frontier", "quality", "audit", "agreement", "models")
    return sorted(rows + seed_rows(rows), key=lambda row: order.index(row.table))

"""From the results of stages to the frame: every number with its interval, and ratios of samples that share their random numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, with_config
from typing_extensions import TypedDict

from imdm.errors import UserError
from imdm.files import OPEN, read_json, said
from imdm.params import Params
from imdm.results import plan
from imdm.results.equal_entropy import frontier
from imdm.results.frame import DIFFERENCE, RATIO, frame_of
from imdm.results.names import REAL, TEACHER, baseline_of
from imdm.results.paper import paper_of, paper_value, scores_of
from imdm.scoring.bootstrap import mean_interval, resamples
from imdm.scoring.reference_file import read_tensor
from imdm.stage.artifact import verify
from imdm.stage.shapes import ByStep, JudgeNamed, Positive, Prompts, RealText, Row

Record = dict[str, Any]  # some columns of the frame
_RESAMPLES = 1000

# The paper's names of what it ran. Its "Error" is only possible as the valid mass, so error_kl_nats has none.
_SYNTHETIC = {"mdm": "MDM", "imdm": "IMDM", "imdm-plain": "IMDM", "random": "Random sequence"}
_NOISE = {"noise A": "noise=eps_A", "noise B": "noise=eps_B"}
_PAPER_METRICS = {"error_valid_mass_nats": "factorization_error_nats"}


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


@with_config(OPEN)
class Result(TypedDict, total=False):
    """What tables are made of, of all the stages' JSON results."""

    name: str
    judge: JudgeNamed | dict[str, str]  # of reference.json its name, precision and digest
    precision: str
    temperature: ByStep
    conditional: Prompts | RealText | None  # of scores.json and of reference.json
    matching: dict[str, Any] | None
    sampled_at: float
    rows: list[Row]
    unconditional: RealText
    valid_perplexity: float
    held_out_perplexity: float
    unigram_perplexity: float
    parameters: int
    low: float
    high: float
    teacher: str
    split: str
    seq_len: Positive
    noise_draws: Annotated[list[Positive], Field(min_length=1)]


def read_result(path: Path, *keys: str) -> dict[str, Any]:
    """A stage's JSON result.

    Raises:
        UserError: it is missing, edited, damaged, or lacks one of `keys`, of which rows.NAME are of each row.
    """
    verify(path)
    what, again = "what its stage writes", f"run `snakemake --force {path}`"
    tree = read_json(path, Result, what, again)
    for key in keys:
        name, _, part = key.partition(".")
        if name not in tree or part and any(part not in row for row in tree[name]):
            raise UserError(f"{path} is not {what} (it lacks {key}); {again}.")
    return tree


def read_parquet(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A table of single samples or sequences, checked as `read_result` does."""
    verify(path)
    try:
        table = pd.read_parquet(path, columns=columns)
        numbers = table[columns].to_numpy(float) if columns else table.select_dtypes("number").to_numpy(float)
    except Exception as error:  # pyarrow raises all kinds for what it can't read
        raise UserError(f"{path} is not what its stage writes ({said(error)}); run its stage again.") from None
    if not len(table) or not np.isfinite(numbers).all():
        raise UserError(f"{path} has no lines, or numbers in it that aren't finite; run its stage again.")
    return table


def require_same(folder: Path, values: Mapping[str, Any], what: str, first: Any = None) -> None:
    """Refuse results of one table that were made differently.

    Raises:
        UserError: a model's value is another than `first`, or than the first model's.
    """
    first = next(iter(values.values())) if first is None else first
    for model, value in values.items():
        if value != first:
            raise UserError(f"{folder / model} has another {what} than the other models of this table; run its stage again.")


def scored(kind: str, model: str, tree: dict[str, Any], paper: Mapping[str, str] | None = None) -> list[Record]:
    """The numbers of a scores.json; what could not be measured, as MAUVE of too few samples, is left out.

    Args:
        paper: variant and method of the model in the paper's Tables 4 and 5.
    """
    about, records = {"kind": kind, "model": model, "setting": tree["precision"]}, []
    for measured in tree["rows"]:
        if measured["value"] is not None:
            table = {"gen_ppl": 4, "entropy": 5}.get(measured["metric"])
            number = paper_value(table, measured["metric"], measured["steps"], **paper) if table and paper else None
            records.append(about | measured | {"temperature": tree["temperature"].get(str(measured["steps"])), "paper": number})
    return records


def ratios(results: Path, pairs: Iterable[tuple[str, str, str, str]], records: Iterable[Record], group: int = 1) -> list[Record]:
    """Gen-PPL of models over that of others at the same steps, with paired bootstrap intervals.

    Args:
        pairs: (kind, model) and (kind, model) of what is divided by what.
        records: with the Gen-PPL of all of them.
        group: so many consecutive samples share a prompt and are drawn together.
    """
    values = {(r["kind"], r["model"], r["steps"]): r for r in records if r["metric"] == "gen_ppl" and r.get("value")}
    samples: dict[tuple[str, str], pd.DataFrame] = {}
    compared = []
    for pair in pairs:
        ours, base = pair[:2], pair[2:]
        for kind, model in (ours, base):
            file = results / scores_of(model, "" if kind == "samples" else kind)
            if (kind, model) not in samples:
                table = read_parquet(file.with_name("per_sample.parquet"), ["steps", "sample", "nll", "tokens"])
                samples[kind, model] = table.set_index(["steps", "sample"]).sort_index()
        for steps in [steps for kind, model, steps in values if (kind, model) == ours and (*base, steps) in values]:
            top, bottom = values[*ours, steps], values[*base, steps]
            of_ours, of_base = (samples[one].xs(steps, level="steps") for one in (ours, base))
            low, high = paired_interval(of_ours, of_base, group)
            paper = top["paper"] / bottom["paper"] if top.get("paper") and bottom.get("paper") else None
            record = {"kind": ours[0], "model": ours[1], "against": base[1], "steps": steps, "metric": RATIO, "paper": paper}
            compared.append(record | {"value": top["value"] / bottom["value"], "low": low, "high": high})
    return compared


def paired_interval(ours: pd.DataFrame, base: pd.DataFrame, group: int = 1) -> tuple[float | None, float | None]:
    """95% bootstrap interval of the ratio of two corpus-level Gen-PPLs, over samples that share their random numbers.

    Args:
        ours, base: nll (nats) and tokens, indexed by sample; only samples that both have are used.
        group: so many consecutive samples are drawn together.

    Returns:
        low, high; None where the two have no sample in common.
    """
    both = ours.join(base.add_suffix("_base"), how="inner").sort_index().groupby(lambda sample: sample // group).sum()
    if both.empty:
        return None, None
    picks = resamples(len(both), _RESAMPLES, 0)
    sums = {name: both[name].to_numpy(float)[picks].sum(1) for name in both}
    ratios = np.exp(sums["nll"] / sums["tokens"] - sums["nll_base"] / sums["tokens_base"])
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def held_out(kind: str, model: str, path: Path, setting: str = "") -> list[Record]:
    """What a judge.json (kind judge) or validation.json has of held-out text, and the number of parameters."""
    perplexity = "held_out_perplexity" if kind == "judge" else "valid_perplexity"
    tree, about = read_result(path, perplexity, "low", "high"), {"kind": kind, "model": model, "setting": setting}
    first = about | {"metric": "val_ppl", "value": tree[perplexity], "low": tree["low"], "high": tree["high"]}
    return [first, *(about | {"metric": name, "value": tree[name]} for name in ("unigram_perplexity", "parameters") if name in tree)]


def synthetic(path: Path) -> list[Record]:
    """The numbers of Tables 1 and 2 in synthetic.json, and their means over seeds."""
    records = []
    for measured in read_result(path, "rows.table", "rows.setting", "rows.model", "rows.seed")["rows"]:
        second, model, metric = measured["table"] == 2, measured["model"], measured["metric"]
        noise, paper = measured["setting"] if second else "", None
        if model in _SYNTHETIC:
            where = {"setting": "no noise" if model == "mdm" else _NOISE[noise]} if second else {}
            paper = paper_value(measured["table"], _PAPER_METRICS.get(metric, metric), None, method=_SYNTHETIC[model], **where)
        record = {name: measured[name] for name in ("model", "seed", "metric", "value", "low", "high")}
        records.append({"kind": "synthetic", "steps": 1, "setting": noise, "paper": paper} | record)
    return with_means(records)


def with_means(records: list[Record]) -> list[Record]:
    """Means over seeds, with the least and the largest as low and high (of one seed its own interval), before the records."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[name] for name in record if name not in ("seed", "value", "low", "high")), []).append(record)
    means = []
    for same in groups.values():
        values = [record["value"] for record in same]
        ends = {"low": min(values), "high": max(values)} if len(same) > 1 else {}
        means.append(same[0] | {"seed": None, "value": sum(values) / len(values)} | ends)
    return means + records


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
                low, high = mean_interval(values, _RESAMPLES, 0)
                records.append(about | {"steps": int(steps), "value": float(values.mean()), "low": low, "high": high})
    whole = f"error_m{trees[TEACHER]['noise_draws'][-1]}_nats_per_sequence"  # what a language says exactly stands under the estimate
    for row in read_result(results / "judge/judge.json").get("rows", []):
        metric = whole if row["metric"] == "total_correlation_nats" else row["metric"]
        records.append({"kind": "factorization", "model": "data"} | row | {"metric": metric})
    return frame_of(records)

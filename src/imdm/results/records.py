"""The JSON and tables of stages, read and checked, and their numbers as records: each with its interval, and paired ratios of Gen-PPL."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, with_config
from typing_extensions import TypedDict

from imdm.errors import UserError
from imdm.files import OPEN, read_json, said
from imdm.results.frame import RATIO
from imdm.results.paper import paper_value, scores_of
from imdm.scoring.bootstrap import interval, resamples
from imdm.stage.artifact import ByStep, JudgeNamed, Positive, Prompts, RealText, Row, verify

Record = dict[str, Any]  # some columns of the frame
Sampled = tuple[str, str]  # kind of the samples, and the model
RESAMPLES = 1000

# The paper's names of what it ran. Its "Error" is only possible as the valid mass, so error_kl_nats has none.
_SYNTHETIC = {"mdm": "MDM", "imdm": "IMDM", "imdm-plain": "IMDM", "random": "Random sequence"}
_NOISE = {"noise A": "noise=eps_A", "noise B": "noise=eps_B"}
_PAPER_METRICS = {"error_valid_mass_nats": "factorization_error_nats"}


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


def require_same(folder: Path, trees: Mapping[Any, dict[str, Any]], key: str, first: Any = None) -> None:
    """Refuse results of one table that were made differently.

    Args:
        trees: by where they lie in `folder`.

    Raises:
        UserError: a result's `key` is another than `first`, or than the first one's.
    """
    first = next(iter(trees.values()))[key] if first is None else first
    for place, tree in trees.items():
        if tree[key] != first:
            raise UserError(f"{folder / place} has another {key} than the other models of this table; run its stage again.")


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


def ratios(results: Path, pairs: Iterable[tuple[Sampled, Sampled]], records: Iterable[Record], group: int = 1) -> list[Record]:
    """Gen-PPL of models over that of others at the same steps, with paired bootstrap intervals.

    Args:
        pairs: what is divided by what.
        records: with the Gen-PPL of all of them.
        group: so many consecutive samples share a prompt and are drawn together.
    """
    values = {(r["kind"], r["model"], r["steps"]): r for r in records if r["metric"] == "gen_ppl" and r.get("value")}

    @functools.cache
    def samples_of(sampled: Sampled) -> pd.DataFrame:
        kind, model = sampled
        table = read_parquet((results / scores_of(model, kind)).with_name("per_sample.parquet"), ["steps", "sample", "nll", "tokens"])
        return table.set_index(["steps", "sample"]).sort_index()

    compared = []
    for ours, base in pairs:
        samples = samples_of(ours), samples_of(base)
        for steps in [steps for *sampled, steps in values if tuple(sampled) == ours and (*base, steps) in values]:
            top, bottom = values[*ours, steps], values[*base, steps]
            of_ours, of_base = (table.xs(steps, level="steps") for table in samples)
            low, high = paired_interval(of_ours, of_base, group)
            paper = top["paper"] / bottom["paper"] if top.get("paper") and bottom.get("paper") else None
            record = {"kind": ours[0], "model": ours[1], "against": base[1], "steps": steps, "metric": RATIO, "paper": paper}
            compared.append(record | {"value": top["value"] / bottom["value"], "low": low, "high": high})
    return compared


def paired_interval(ours: pd.DataFrame, base: pd.DataFrame, group: int = 1) -> tuple[float | None, float | None]:
    """95% bootstrap interval of the ratio of two corpus-level Gen-PPLs, over samples that share their random numbers.

    Args:
        ours, base: nll (nats) and tokens, indexed by sample; only samples that both have are used.
        group: as in `ratios`.

    Returns:
        low, high; None where the two have no sample in common.
    """
    both = ours.join(base.add_suffix("_base"), how="inner").sort_index().groupby(lambda sample: sample // group).sum()
    if both.empty:
        return None, None
    picks = resamples(len(both), RESAMPLES, 0)
    sums = {name: both[name].to_numpy(float)[picks].sum(1) for name in both}
    return interval(np.exp(sums["nll"] / sums["tokens"] - sums["nll_base"] / sums["tokens_base"]))


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

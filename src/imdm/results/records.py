"""Records: the numbers of one result with their intervals, and ratios of samples that share their random numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imdm.results.frame import RATIO
from imdm.results.paper import paper_value, scores_of
from imdm.results.read import read_parquet, read_result
from imdm.scoring.bootstrap import resamples

Record = dict[str, Any]  # some columns of the frame
RESAMPLES = 1000

# The paper's names of what it ran. Its "Error" is only possible as the valid mass, so error_kl_nats has none.
_SYNTHETIC = {"mdm": "MDM", "imdm": "IMDM", "imdm-plain": "IMDM", "random": "Random sequence"}
_NOISE = {"noise A": "noise=eps_A", "noise B": "noise=eps_B"}
_PAPER_METRICS = {"error_valid_mass_nats": "factorization_error_nats"}


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
    picks = resamples(len(both), RESAMPLES, 0)
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

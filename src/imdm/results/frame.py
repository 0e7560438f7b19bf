"""The one table of a run: a pandas frame with a line for every number, in tables.csv and beside every table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import pandas as pd

from imdm.errors import UserError
from imdm.files import require_regular, said
from imdm.params import parse_variant

RATIO = "gen_ppl_ratio"
DIFFERENCE = "error_difference_nats_per_token"
_SEED_KEY = ["kind", "variant", "recipe", "target", "steps", "metric"]  # what the training seeds of one number share


class Number(NamedTuple):
    """One line of the frame; None (or an empty text) where a column says nothing.

    Attributes:
        kind: samples, dilated, conditional, matched, atN, frontier, equal_entropy, copies, pairs, factorization, validation, judge,
            reference, control, synthetic or example.
        model: teacher, oracle, VARIANT/RECIPE, public/NAME, judge or `test text`; a control; in the synthetic task mdm, imdm, ...;
            data, what is exact of a language.
        variant, recipe, replicate: the parts of VARIANT/RECIPE; replicate 0 is the first training seed, and of all else.
        against: the model that a ratio or a difference is taken over.
        target: whose entropy a number of kind equal_entropy is at: teacher or data.
        couplings: the model that made the couplings which a number is about.
        setting: the synthetic task's noise, the judge's name, the split of real text, the sampler's precision, the head of a column
            in the paper's tables, an example's text. Only shown, never taken apart.
        seed: of the synthetic task; without a seed it is the mean over seeds, whose low and high are the least and the largest.
        steps, temperature: of sampling.
        value: None where the paper alone has the number, or an entropy is out of reach.
        low, high: 95% interval. Without a value one of them is what the model has at the nearest entropy that it reaches.
        paper: the paper's number.
    """

    kind: str
    model: str
    variant: str
    recipe: str
    replicate: int | None
    against: str
    target: str
    couplings: str
    setting: str
    seed: int | None
    steps: int | None
    temperature: float | None
    metric: str
    value: float | None
    low: float | None
    high: float | None
    paper: float | None


COLUMNS = Number._fields
_TYPES = get_type_hints(Number)
TEXTS = [name for name, kind in _TYPES.items() if kind is str]
_NUMBERS = {name: "Int64" if kind == int | None else "float64" for name, kind in _TYPES.items() if kind is not str}
Find = Callable[..., Number | None]


def frame_of(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The frame of records that hold some of COLUMNS; variant, recipe and replicate follow from the model."""
    return _typed(pd.DataFrame([{**_parts(record["model"]), **record} for record in records], columns=list(COLUMNS)))


def _parts(model: str) -> dict[str, Any]:
    name, _, recipe = model.partition("/")
    variant, replicate = parse_variant(name)
    return {"variant": variant if recipe else "", "recipe": recipe, "replicate": replicate}


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(_NUMBERS).astype(dict.fromkeys(TEXTS, object)).fillna(dict.fromkeys(TEXTS, "")).reset_index(drop=True)


def write_frame(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a frame as CSV: empty fields where a column says nothing, floats with 8 significant digits."""
    frame.to_csv(path, columns=list(COLUMNS), index=False, float_format="%.8g", lineterminator="\n", encoding="utf-8")


def read_frame(path: str | Path) -> pd.DataFrame:
    """Read what `write_frame` wrote.

    Raises:
        UserError: the file is missing, has other columns or holds a field that is not a number.
    """
    require_regular(path, f"run `snakemake {path}` for it")
    try:
        frame = pd.read_csv(path, dtype=_NUMBERS, keep_default_na=False, na_values=dict.fromkeys(_NUMBERS, [""]), encoding="utf-8")
    except (ValueError, TypeError, OverflowError) as error:  # no CSV, empty, or a text or a fraction among whole numbers
        raise UserError(f"{path} is no table of numbers ({said(error)}); run `snakemake` for it again.") from None
    if tuple(frame.columns) != COLUMNS:
        raise UserError(f"{path} must have the columns {', '.join(COLUMNS)}; run `snakemake` for it again.")
    if np.isinf(frame.select_dtypes("float64").to_numpy()).any():
        raise UserError(f"{path} holds numbers that aren't finite; run `snakemake` for it again.")
    return _typed(frame)


def read_comparison(path: Path) -> pd.DataFrame:
    """tables.csv with the numbers of frontier.csv, where that lies beside it; older files hold them themselves. Raises as `read_frame`."""
    frame, beside = read_frame(path), path.with_name("frontier.csv")
    if not beside.exists() or len(select(frame, kind="equal_entropy")):
        return frame
    return pd.concat([frame, read_frame(beside)], ignore_index=True)


def select(frame: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """The lines whose columns have the wanted values, in their order; None stands for what is missing, a list for any of its values."""
    keep = pd.Series(True, index=frame.index)
    for name, value in wanted.items():
        column = frame[name]
        if isinstance(value, list | tuple | set):
            fits = column.isin(list(value))
        elif value is None:
            fits = column == "" if name in TEXTS else column.isna()
        else:
            fits = column == value
        keep &= fits.fillna(False).astype(bool)
    return frame[keep]


def lines(frame: pd.DataFrame) -> Iterator[Number]:
    """Every line as a `Number`."""
    for line in frame[list(COLUMNS)].itertuples(index=False, name=None):
        plain = (item.item() if isinstance(item, np.generic) else item for item in line)
        yield Number._make(None if item is pd.NA or item != item else item for item in plain)


def one(frame: pd.DataFrame, **wanted: Any) -> Number | None:
    """The first of `select`, None where there is none."""
    return next(lines(select(frame, **wanted).head(1)), None)


def finder(frame: pd.DataFrame) -> Find:
    """`one` for the many cells of a table: the frame is read once. Each value must be as `Number` has it."""
    numbers, indices = list(lines(frame)), {}

    def find(**wanted: Any) -> Number | None:
        names = tuple(wanted)
        if names not in indices:
            indices[names] = {tuple(getattr(number, name) for name in names): number for number in reversed(numbers)}
        return indices[names].get(tuple(wanted.values()))

    return find


def first_seed(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines without those of replicates, and of what other models share with replicates' couplings."""
    of_replicates = frame["couplings"].map(lambda model: parse_variant(model.partition("/")[0])[1] > 0).astype(bool)
    return frame[(frame["replicate"].fillna(0) == 0) & ~of_replicates]


def with_seed_means(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of the first seed, then means over training seeds: replicate None, low and high one standard deviation away.

    Means are of what has several seeds: Gen-PPL, entropy and ratio of samples, and at equal entropy where every seed reaches it.
    No file stores them.
    """
    part = select(frame, kind=["samples", "equal_entropy"], metric=["gen_ppl", "entropy", RATIO])
    seeds = part[part["variant"] != ""].groupby(_SEED_KEY, sort=False)["value"].agg(["mean", "std", "count", "size"]).reset_index()
    seeds = seeds[(seeds["size"] > 1) & (seeds["count"] == seeds["size"])]
    means = seeds.assign(model=seeds["variant"] + "/" + seeds["recipe"], value=seeds["mean"])
    means = means.assign(low=means["mean"] - means["std"], high=means["mean"] + means["std"])
    return pd.concat([first_seed(frame), _typed(means.reindex(columns=list(COLUMNS)))], ignore_index=True)


def decided(ratio: Number | None) -> str:
    """Whose value is lower by the paired interval of a ratio (or difference): `ours` or `base`, else `tie`; empty without one."""
    if ratio is None or ratio.value is None:
        return ""
    even = 0 if ratio.metric == DIFFERENCE else 1
    if ratio.high is not None and ratio.high < even:
        return "ours"
    return "base" if ratio.low is not None and ratio.low > even else "tie"

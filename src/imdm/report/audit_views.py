"""The audit's two tables."""

from __future__ import annotations

from imdm.audit import REAL
from imdm.report.audit_rows import ngram_sizes
from imdm.report.cells import NONE, Cell, View, value_cell
from imdm.report.names import METRICS, TEACHER, metric_name, name_of
from imdm.report.rows import Row, find, select

_PAIRS = ("nll_seen_own", "nll_seen_fresh", "noise_gap_seen", "nll_unseen_own", "nll_unseen_fresh", "noise_gap_unseen", "pair_gap")
_PAIRS += ("equal_seen_own_pct", "equal_seen_fresh_pct", "equal_unseen_own_pct")


def audit(rows: list[Row]) -> View:
    """What samples share with couplings, training text and each other; by couplings, each with the teacher and real text."""
    found, sizes = select(rows, table="audit"), ngram_sizes(rows)
    on = [f"in_couplings_{n}_pct" for n in sizes] + ["nearest_coupling_pct", "nearest_coupling_max_pct"]
    off = [f"in_train_{n}_pct" for n in sizes] + ["nearest_block_pct", "nearest_block_max_pct"] + [f"shared_{n}_pct" for n in sizes]
    sets = dict.fromkeys(row.setting for row in found if row.metric in on)
    with_couplings = {row.model for row in found if row.metric in on} - {REAL, TEACHER}
    body = []
    for couplings in [None, *sets]:
        here = {row.model for row in found if row.setting == couplings} if couplings else {row.model for row in found} - with_couplings
        for model, steps in dict.fromkeys((row.model, row.steps) for row in found if row.model in here):
            cells = [find(found, model=model, steps=steps, metric=metric, setting=couplings) for metric in on]
            cells += [find(found, model=model, steps=steps, metric=metric) for metric in off]
            name = "none" if couplings is None else name_of(couplings.removeprefix("couplings of "))
            body.append([Cell(name), Cell(name_of(model)), Cell(str(steps) if steps else NONE, steps), *map(value_cell, cells)])
    caption = (
        "Percent, mean over samples with bootstrap 95% intervals. N-grams are of tokens, at all positions; those of couplings are looked "
        "for in all that a model was trained on, beside the teacher's samples and as much held-out text. Nearest coupling: the largest "
        "share of equal tokens at equal positions. Nearest block: the largest share of the longest n-grams that one training block has. "
        "In other samples: of the same model and steps. Copies show as shares well above the teacher's and real text's."
    )
    heads = [metric_name(metric) for metric in on + off]
    return View("audit", "Memorization in samples", caption, ["Couplings of", "Model", "Steps", *heads], body)


def agreement(rows: list[Row]) -> View:
    """What models know of pairs in one step, with the pairs' own noise and with fresh noise."""
    found = select(rows, table="agreement")
    body = []
    for setting, model in dict.fromkeys((row.setting, row.model) for row in found):
        cells = [value_cell(find(found, setting=setting, model=model, metric=metric)) for metric in _PAIRS]
        body.append([Cell(name_of(setting.removeprefix("pairs of "))), Cell(name_of(model)), *cells])
    caption = (
        "One prediction from a noised block: nats a masked token (NLL) of the text that the teacher of the pairs wrote there, with "
        "bootstrap 95% intervals over pairs. Seen: couplings that a model was rectified on (their teacher was not); unseen: others of the "
        "same teacher. Own: the noise that a pair has; fresh: another; a model with one mask can't tell them apart. Pair gap: what an "
        "unseen pair costs more than a seen one, which is memorization; a noise gap on unseen pairs would be a map that was learnt."
    )
    return View("agreement", "Memorization of pairs", caption, ["Pairs of", "Model", *(METRICS[metric] for metric in _PAIRS)], body)

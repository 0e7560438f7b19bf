"""Whether the gain is memorization, in words made from the audit's numbers."""

from __future__ import annotations

from imdm.audit import REAL
from imdm.report.audit_rows import copied, trained_on
from imdm.report.names import TEACHER, name_of
from imdm.report.rows import Row, find, select


def memorization(rows: list[Row], model: str) -> list[str]:
    """What a rectified model has by heart, and what its samples copy; nothing for a model that was not audited on couplings."""
    return [text for text in (_pairs(rows, model), _copies(rows, model)) if text]


def _pairs(rows: list[Row], model: str) -> str:
    found = {row.metric: row for row in select(rows, table="agreement", model=model) if trained_on(row)}
    if "pair_gap" not in found:
        return ""
    seen, fresh, unseen, gap = (found[metric] for metric in ("nll_seen_own", "nll_seen_fresh", "nll_unseen_own", "pair_gap"))
    before = find(rows, table="agreement", setting=gap.setting, model=gap.setting.removeprefix("pairs of "), metric="nll_unseen_own")
    known = "it has its pairs by heart" if gap.low > 0 else "it knows its pairs no better than others"
    rest = "worse" if unseen.low > before.high else "better" if unseen.high < before.low else "neither better nor worse"
    return (
        f"Memorization, {name_of(model)}: a token of a training pair costs {seen.value:.2f} nats with the pair's own noise "
        f"and {fresh.value:.2f} with fresh noise, of an unseen pair {unseen.value:.2f}: {known}, and knows others {rest} than the model "
        f"that made them ({before.value:.2f})."
    )


def _copies(rows: list[Row], model: str) -> str:
    metric = copied(rows)
    ours = select(rows, table="audit", model=model, metric=metric)
    if not ours:
        return ""
    setting, size = ours[0].setting, metric.split("_")[2]
    teacher = {row.steps: row for row in select(rows, table="audit", model=TEACHER, setting=setting, metric=metric)}
    real = find(rows, table="audit", model=REAL, setting=setting, metric=metric)
    own, theirs = (max(row.value for row in found) for found in (ours, teacher.values()))
    more = [str(row.steps) for row in ours if row.steps in teacher and row.low > teacher[row.steps].high]
    verdict = f"more than the teacher's at {', '.join(more)} steps" if more else "at no step count more than the teacher's"
    return (
        f"Copies, {name_of(model)}: at most {own:.2f}% of the {size}-grams of its samples occur in the couplings that it was trained on, "
        f"{verdict} (whose have at most {theirs:.2f}%, real text {real.value:.2f}%)."
    )

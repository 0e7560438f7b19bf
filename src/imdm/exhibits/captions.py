"""What stands below a table: which models, how many samples, which judge, and how the paper's numbers compare."""

from __future__ import annotations

from imdm.data.blocks import Dataset
from imdm.exhibits.results import Scores
from imdm.exhibits.tables import Table
from imdm.params import Params
from imdm.report.cells import DAGGER, View, number
from imdm.report.names import setting_of
from imdm.report.paper import note
from imdm.report.rows import Row


def caption(table: Table, scores: Scores, rows: list[Row], data: Dataset, params: Params) -> str:
    """The caption of a table, but for what `dagger` says of its cells."""
    parts = [_models(table), _run(data, params), *(_scored(scores, rows, table) if scores.scores else []), table.note, note(table.number)]
    return " ".join(part for part in parts if part)


def dagger(table: Table, view: View) -> str:
    """What the marked cells mean, or that there are none."""
    against = " or ".join(dict.fromkeys(column.against for column in table.columns if column.against))
    if not against or set(table.metrics) == {"entropy"}:
        return ""
    if any(cell.mark == "disagree" for row in view.rows for cell in row):
        return f"{DAGGER} Against {against} the order is not the paper's, and the two intervals are apart."
    return f"Against {against} no order whose two intervals are apart is other than the paper's."


def _models(table: Table) -> str:
    """Which model stands in each column, and how it was made."""
    columns = [column for column in table.columns if column.kind != "matched"]
    settings = {setting_of(column.model) for column in columns}
    if len(settings) == 1:
        named = [f"{column.head}: {column.model.partition('/')[0]}" for column in columns]
        return f"{'; '.join(named)}. All are trained by {settings.pop()}."
    return f"{'; '.join(f'{column.head}: {column.model}, {setting_of(column.model)}' for column in columns)}."


def _run(data: Dataset, params: Params) -> str:
    net = params.network
    size = f"width {net.hidden_size}, {net.blocks} block{'s' if net.blocks > 1 else ''}"
    return f"This run: {data.corpus}, {data.seq_len} tokens a block, vocabulary {data.vocab_size:,}, networks of {size}."


def _scored(scores: Scores, rows: list[Row], table: Table) -> list[str]:
    first = next(iter(scores.scores.values()))
    judge, task = first["judge"], first["conditional"]
    own = number(judge["held_out_perplexity"], "perplexity")
    parts = [f"Judge: {judge['name']} ({judge['precision']}, own held-out perplexity {own})."]
    precisions = ", ".join(sorted({found["precision"] for found in scores.scores.values()}))
    parts.append(f"{scores.samples:,} samples a step count, sampled in {precisions}, with bootstrap 95% intervals.")
    if task:
        scored = "prompt included" if task["scored"] == "with_prompt" else "of which the prompt is context only"
        parts.append(
            f"{task['completions']} completions of each of {task['prompts']} prompts of {task['prompt_tokens']} tokens; the first "
            f"{task['scored_tokens']} tokens are scored, {scored}. MAUVE: plus and minus a standard deviation over k-means seeds."
        )
    if "steps" not in table.lines:
        parts.append(f"Gen-PPL and entropy at {max(row.steps or 0 for row in rows)} steps.")
    missed = sorted(
        {int(n) for found in scores.scores.values() for n, step in (found["matching"] or {"steps": {}})["steps"].items() if step["bound"]}
    )
    if missed:
        parts.append(f"Step counts at which no temperature that was tried reaches SDTT's entropy: {', '.join(map(str, missed))}.")
    return parts

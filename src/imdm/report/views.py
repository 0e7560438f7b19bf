"""Tables as a reader sees them, laid out from tidy rows."""

from __future__ import annotations

from imdm.params import PUBLIC
from imdm.report.audit_rows import audited, copied, ngram_sizes
from imdm.report.cells import MARKS, NONE, Cell, View, number, paper_cell, seeds_cell, value_cell
from imdm.report.equal_entropy import AT, at, decided
from imdm.report.names import BASELINE, METRICS, RATIO, TEACHER, baseline_of, metric_name, name_of, sides, versus
from imdm.report.paper import note
from imdm.report.rows import Row, find, select
from imdm.report.seeds import seeds_in
from imdm.report.tables import winner

_COPIES = ("copied MDLM (%)", "copied IMDM (%)")
_SEEDS = [f"{name}, seeds" for name in ("MDLM", "IMDM", "ratio", "ratio at equal entropy")]
_GAPS = ("noise_gap_seen", "pair_gap")
_ALONE = (BASELINE, PUBLIC)  # models that stand under MDLM


def table01(rows: list[Row]) -> View:
    """Table 1: the synthetic task in one step, mean over seeds."""
    means = [row for row in rows if row.table == "1" and row.setting.startswith("mean")]
    metrics = [metric for metric in METRICS if any(row.metric == metric for row in means)]
    columns, body = ["Model"], []
    for metric in metrics:
        columns += [METRICS[metric], "paper"] if metric != "error_kl_nats" else [METRICS[metric]]
    for model in dict.fromkeys(row.model for row in means):
        line = [Cell(name_of(model))]
        for metric in metrics:
            row = find(means, model=model, metric=metric)
            line += [value_cell(row), paper_cell(row)] if metric != "error_kl_nats" else [value_cell(row)]
        body.append(line)
    caption = (
        f"One-step generation of {{00, 11}} with fresh noise, {means[0].setting if means else 'no seeds'} [least, largest]. "
        "The data's token entropy is ln 2 = 0.69; a model that draws tokens independently has error ln 2 = 0.693. "
        "Valid mass: mean over noise of -ln P(valid). KL: KL(data || mean over noise of the product of the tokens' probabilities). "
        "The paper's error is only possible as the first."
    )
    return View("table01", "Table 1. Synthetic task", caption, columns, body)


def table02(rows: list[Row]) -> View:
    """Table 2: output probabilities under two noise realizations, mean over seeds."""
    means = [row for row in rows if row.table == "2" and "mean of" in row.setting]
    body = []
    for model in dict.fromkeys(row.model for row in means):
        for setting in dict.fromkeys(row.setting for row in means if row.model == model):
            tokens = [find(means, model=model, setting=setting, metric=f"P(token{i}=0)_pct") for i in (1, 2)]
            line = [Cell(name_of(model)), Cell(setting.split(",")[0])]
            body.append(line + [cell for row in tokens for cell in (value_cell(row), paper_cell(row))])
    seeds = means[0].setting.split(", ")[-1] if means else "no seeds"
    caption = (
        f"P(token = 0) in percent at full masking, {seeds} [least, largest]. Noise A is the first that leads to 0, "
        "noise B the first that leads to 1. A model with one mask sees no noise, so its two rows are equal."
    )
    return View("table02", "Table 2. Output probabilities", caption, ["Model", "Noise", "Token 1", "paper", "Token 2", "paper"], body)


def challenges(rows: list[Row]) -> list[tuple[str, str, str]]:
    """(variant, recipe, label) of every group of Tables 4 and 5; what MDLM alone has, and public checkpoints, stand under MDLM."""
    found = {}
    for row in rows:
        if row.table == "4" and row.metric == "gen_ppl" and "/" in row.model:
            variant, recipe = row.model.split("/")
            found.setdefault(recipe, {})[variant] = row.setting
    groups = []
    for recipe, variants in found.items():
        paired = set(variants) - set(_ALONE)
        for variant in [name for name in variants if name != BASELINE or not paired]:
            plain = variant in (*_ALONE, "imdm") or len(variants) == 1 and baseline_of(f"{variant}/{recipe}") == TEACHER
            label = variants[variant] if plain else f"{variants[variant]}: {name_of(variant)}"
            groups.append((variant, recipe, label[0].upper() + label[1:]))
    return groups


def pairs(rows: list[Row], table: str, metric: str) -> list[tuple[str, str, int, Row | None, Row | None]]:
    """(label, VARIANT:BASELINE, steps, row of MDLM, row of the other variant) of each line of Tables 4 and 5."""
    found = []
    for variant, recipe, label in challenges(rows):
        model = f"{variant}/{recipe}"
        alone = model if variant in _ALONE else baseline_of(model)
        base = {row.steps: row for row in select(rows, table=table, metric=metric, model=alone)}
        ours = {row.steps: row for row in select(rows, table=table, metric=metric, model=model) if model != alone}
        for steps in sorted(set(base) | set(ours)):
            found.append((label, versus(variant, recipe), steps, base.get(steps), ours.get(steps)))
    return found


def _references(rows: list[Row], table: str, width: int) -> list[list[Cell]]:
    """Lines of the real text and of the teacher, whose value stands under MDLM."""
    found = select(rows, table=table, model="test text") + select(rows, table=table, model="teacher")
    lines = [[Cell(name_of(row.model)), Cell(str(row.steps) if row.steps else NONE, row.steps), value_cell(row)] for row in found]
    return [line + [Cell(NONE)] * (width - len(line)) for line in lines]


def _copies(rows: list[Row], *compared: Row | None) -> list[Cell]:
    """What MDLM and the other variant have copied from their couplings."""
    return [value_cell(row and audited(rows, copied(rows), row.model, row.steps)) for row in compared]


def table04(rows: list[Row]) -> View:
    """Table 4: Gen-PPL of the teacher and of each recipe with one mask and with infinitely many."""
    columns = [
        "Recipe",
        "Steps",
        "MDLM",
        "IMDM",
        "IMDM / MDLM",
        "Better",
        *(f"{name}, equal entropy" for name in ("MDLM", "IMDM", "ratio")),
    ]
    seeds = seeds_in(rows)
    columns += _SEEDS if seeds else []
    columns += [*_COPIES, "paper MDLM", "paper IMDM", "paper ratio"]
    body = _references(rows, "4", len(columns))
    for label, pair, steps, base, ours in pairs(rows, "4", "gen_ppl"):
        ratio, better = find(rows, table="4", model=pair, metric=RATIO, steps=steps), winner(ours, base)
        word = dict(zip(("ours", "base"), sides(pair))).get(better, better or NONE)
        line = [Cell(label), Cell(str(steps), steps), value_cell(base), value_cell(ours), value_cell(ratio)]
        line += [Cell(word, None, MARKS[better]), *equal_cells(rows, "teacher", pair, base, ours)]
        line += _over_seeds(rows, pair, base, ours, steps) if seeds else []
        body.append(line + [*_copies(rows, base, ours), paper_cell(base), paper_cell(ours), paper_cell(ratio)])
    caption = (
        f"Generative perplexity under {judge_words(rows)}, lower is better, with bootstrap 95% intervals. The teacher and the real text "
        "stand under MDLM, and there stands the teacher beside its keyed distillation. "
        "Better: the model whose interval lies wholly below the other's, else tie. The interval of the ratio is paired "
        "(both models draw with the same random numbers), so it is narrower. Equal entropy: both at the teacher's entropy at the same "
        f"number of steps, by temperature (table frontier). {_seeds_note(seeds)}{_copied(rows)} {_precision(rows)} {note(4)}"
    )
    return View("table04", "Table 4. Gen-PPL", caption, columns, body)


def _over_seeds(rows: list[Row], pair: str, base: Row | None, ours: Row | None, steps: int) -> list[Cell]:
    cells = [seeds_cell(rows, "4", "gen_ppl", row.model, steps) if row else Cell(NONE) for row in (base, ours)]
    cells.append(seeds_cell(rows, "4", RATIO, pair, steps))
    return [*cells, seeds_cell(rows, "frontier", RATIO, pair, steps, AT["teacher"])]


def _seeds_note(seeds: str) -> str:
    """What the columns over training seeds are, where there are any."""
    return f"Seeds: mean ± standard deviation over {seeds} training seeds; all other columns are of the first. " if seeds else ""


def table05(rows: list[Row]) -> View:
    """Table 5: entropy of the same samples."""
    columns = ["Recipe", "Steps", "MDLM", "IMDM", "MDLM, temperature", "IMDM, temperature", *_COPIES, "paper MDLM", "paper IMDM"]
    body = _references(rows, "5", len(columns))
    for label, _, steps, base, ours in pairs(rows, "5", "entropy"):
        heats = [value_cell(row and at(rows, "teacher", row.model, steps, "temperature")) for row in (base, ours)]
        cells = [value_cell(base), value_cell(ours), *heats, *_copies(rows, base, ours), paper_cell(base), paper_cell(ours)]
        body.append([Cell(label), Cell(str(steps), steps), *cells])
    caption = (
        "Unigram entropy of each sample's tokens in nats, averaged over samples, with bootstrap 95% intervals; a Gen-PPL bought by "
        "repetition shows as a low entropy. Temperature: that at which the model has the teacher's entropy at the same number of "
        f"steps (table frontier). {_copied(rows)} {_precision(rows)} {note(4)}"
    )
    return View("table05", "Table 5. Entropy", caption, columns, body)


def equal_cells(rows: list[Row], target: str, pair: str, base: Row | None, ours: Row | None) -> list[Cell]:
    """Gen-PPL of both models at an entropy, and their ratio, marked where its interval leaves out 1."""
    found = [row and at(rows, target, row.model, row.steps) for row in (base, ours)]
    ratio = at(rows, target, pair, base.steps, RATIO) if base and ours else None
    return [*map(value_cell, found), value_cell(ratio, MARKS[decided(ratio)])]


def quality(rows: list[Row]) -> View:
    """Every further metric of the samples, one column each."""
    found = select(rows, table="quality")
    copies = [metric for n in ngram_sizes(rows)[-1:] for metric in (f"in_couplings_{n}_pct", f"in_train_{n}_pct")]
    metrics = list(dict.fromkeys(row.metric for row in found))
    body = []
    for model, steps in dict.fromkeys((row.model, row.steps) for row in found):
        cells = [find(found, model=model, steps=steps, metric=metric) for metric in metrics]
        cells += [audited(rows, metric, model, steps) for metric in copies] + [audited(rows, metric, model) for metric in _GAPS]
        body.append([Cell(name_of(model)), Cell(str(steps), steps), *map(value_cell, cells)])
    columns = ["Model", "Steps", *map(metric_name, [*metrics, *copies, *_GAPS])]
    caption = (
        "Further metrics of the same samples, and from the audit what they copied and what the model has by heart. "
        "MAUVE is a mean over k-means seeds, with one standard deviation to either side."
    )
    return View("quality", "Further metrics", caption, columns, body)


def models(rows: list[Row]) -> View:
    """What the judge and the teacher are worth on held-out text."""
    body = []
    for model, metric in (("judge", "held_out_perplexity"), ("teacher", "valid_perplexity")):
        cells = [value_cell(find(rows, table="models", model=model, metric=name)) for name in (metric, "unigram_perplexity", "parameters")]
        body.append([Cell("Judge" if model == "judge" else "Teacher (NELBO bound)"), *cells])
    caption = "Perplexity on held-out text beside that of token frequencies alone on the same split: what they have learnt."
    return View("models", "Judge and teacher", caption, ["Model", "Held-out perplexity", "Unigram perplexity", "Parameters"], body)


def judge_words(rows: list[Row]) -> str:
    row = find(rows, table="models", model="judge", metric="held_out_perplexity")
    return f"the judge {row.setting!r} (own held-out perplexity {number(row.value, row.metric)})" if row else "the judge"


def _copied(rows: list[Row]) -> str:
    what = metric_name(copied(rows)).removesuffix(" (%)")
    return f"Copied: {what} that the model was trained on; the audit has those of the teacher and of real text beside them."


def _precision(rows: list[Row]) -> str:
    found = [row.setting for row in select(rows, table="models", model="sampler")]
    return f"Sampler precision: {', '.join(found)}." if found else ""


def views(rows: list[Row]) -> list[View]:
    """Every table but those of views of their own, in the order of the report."""
    return [table04(rows), table05(rows), quality(rows), table01(rows), table02(rows), models(rows)]

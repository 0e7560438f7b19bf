"""The table of Gen-PPL at equal entropy, laid out from tidy rows."""

from __future__ import annotations

from imdm.report.cells import NONE, Cell, View, value_cell
from imdm.report.equal_entropy import at
from imdm.report.names import TEACHER, name_of
from imdm.report.rows import Row, select
from imdm.report.views import equal_cells, judge_words, pairs


def frontier(rows: list[Row]) -> View:
    """Gen-PPL at the teacher's and at the data's entropy."""
    names = [f"{name} at the {whose} entropy" for whose in ("teacher's", "data's") for name in ("MDLM", "IMDM", "ratio")]
    points = select(rows, table="frontier", model=TEACHER, metric="entropy")
    body = []
    for row in [row for row in points if row.setting.startswith("at ")]:
        cells = [value_cell(row), value_cell(at(rows, "teacher", row.model, row.steps)), Cell(NONE), Cell(NONE)]
        cells += [value_cell(at(rows, "data", row.model, row.steps)), Cell(NONE), Cell(NONE)]
        body.append([Cell(name_of(row.model)), Cell(str(row.steps), row.steps), *cells])
    for label, pair, steps, base, ours in pairs(rows, "4", "gen_ppl"):
        entropy = value_cell(at(rows, "teacher", TEACHER, steps, "entropy"))
        cells = [*equal_cells(rows, "teacher", pair, base, ours), *equal_cells(rows, "data", pair, base, ours)]
        body.append([Cell(label), Cell(str(steps), steps), entropy, *cells])
    tried = [row.setting.removeprefix("temperature ") for row in points if not row.setting.startswith("at ")]
    real = value_cell(at(rows, "data", "test text", None, "entropy")).text
    caption = (
        f"Gen-PPL under {judge_words(rows)} at equal entropy, with bootstrap 95% intervals that cover the entropy aimed at as well: "
        f"log Gen-PPL is interpolated in entropy between the sampling temperatures {', '.join(dict.fromkeys(tried))}. "
        f"The teacher's entropy is that of its own samples at the same number of steps, the data's {real} nats. > x: at every temperature "
        "the entropy stays below the one aimed at, and x is the Gen-PPL at the highest; < x: it stays above, and x is the Gen-PPL at the "
        "lowest. In brackets – is an end out of reach. Ratio: IMDM / MDLM, paired, filled where its interval leaves out 1."
    )
    return View("frontier", "Gen-PPL at equal entropy", caption, ["Recipe", "Steps", "Teacher's entropy (nats)", *names], body)

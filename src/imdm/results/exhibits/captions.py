"""Parts that several captions share: the judge, the sampler's precision, and what the paper's numbers are of."""

from __future__ import annotations

import re

import pandas as pd

from imdm.results.digits import digits
from imdm.results.frame import one, select
from imdm.results.paper import paper_numbers


def judge_words(frame: pd.DataFrame) -> str:
    """The judge and its own perplexity on held-out text."""
    row = one(frame, kind="judge", metric="val_ppl")
    return f"the judge {row.setting!r} (own held-out perplexity {digits(row.value, row.metric)})" if row else "the judge"


def precisions(frame: pd.DataFrame) -> str:
    """In which precision models were sampled."""
    found = select(frame, kind="samples", metric="gen_ppl")["setting"]
    return f"Sampler precision: {', '.join(sorted(set(found)))}."


def paper_note(table: int) -> str:
    """What the numbers of a table of the paper are of, and what they can be compared with."""
    row = paper_numbers()[paper_numbers()["table"] == table].iloc[0]
    size = re.search(r"\d+M|$", row["model_size"])[0] or "170M"  # what it calls small
    return (
        f"The paper's numbers (arXiv 2605.10518) are for {row['dataset']} at {size} parameters, judged by GPT-2 Large: levels are "
        "comparable only with a run of the same corpus, size and judge, ratios between models always."
    )

"""All figures of a set of texts, each with its interval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer

from imdm.params import Scoring
from imdm.scoring.bootstrap import mean_interval, ratio_interval
from imdm.scoring.distances import energy, frechet, jensen_shannon, mauve, standardized
from imdm.scoring.diversity import distinct, entropy, repetition
from imdm.scoring.exact import ExactJudge, Figures
from imdm.scoring.gen_ppl import Judged, gen_ppl, gen_ppl_mean, judge_ids, judge_texts
from imdm.scoring.judge import AnyJudge
from imdm.scoring.reference_file import Real
from imdm.stage.chunks import Progress, in_chunks, no_progress

if TYPE_CHECKING:
    from pandas import DataFrame


def judge_samples(judge: AnyJudge, samples: np.ndarray, tokenizer: Tokenizer, settings: Scoring) -> Judged:
    """The judge's verdict on samples [n, L], token ids of `tokenizer`. Of a text, MAUVE reads L judge tokens, as in the authors' code."""
    if isinstance(judge, ExactJudge):
        return Judged(**judge.judge(samples))
    texts = judge_ids(samples, tokenizer, judge, settings.retokenize, settings.clean_up, settings.max_tokens)
    return judge_texts(judge, texts, settings.batch_size, samples.shape[1])


def judge_each(
    judge: AnyJudge,
    samples: list[np.ndarray],
    tokenizer: Tokenizer,
    settings: Scoring,
    folder: Path,
    name: str = "judged",
    progress: Progress = no_progress,
) -> list[Judged]:
    """`judge_samples` of each array of samples; what is judged stays below `folder` as `name`, so that an interruption costs one array."""

    def make(first: int, _: int) -> dict[str, torch.Tensor]:
        values = vars(judge_samples(judge, samples[first], tokenizer, settings))
        return {key: torch.from_numpy(value) for key, value in values.items()}

    judged, _ = in_chunks(folder, range(len(samples)), 1, make, name, progress)
    ends = np.cumsum([len(rows) for rows in samples])[:-1]
    columns = {key: np.split(values.numpy(), ends) for key, values in judged.items()}
    return [Judged(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]


def per_sample(tokens: np.ndarray, judged: Judged, **columns: Any) -> DataFrame:
    """One line a sample of token ids [n, L]: what `columns` adds, number, nll (nats) and tokens of the judge, entropy (nats)."""
    import pandas as pd

    values = {"sample": range(len(tokens)), "nll": judged.nll, "tokens": judged.tokens, "entropy": entropy(tokens)}
    return pd.DataFrame(columns | values)


def text_figures(tokens: np.ndarray, judged: Judged, resamples: int, seed: int, group: int = 1) -> Figures:
    """Gen-PPL, entropy (nats) and 4-gram diversity of samples or of real text.

    Args:
        tokens: the scored token ids [n, L].
        resamples: of the bootstrap.
        group: consecutive texts that share a prompt; the intervals draw them together.
    """
    kept = judged.tokens > 0
    means = np.divide(judged.nll, judged.tokens, out=np.zeros(len(kept)), where=kept)
    corpus = ratio_interval(judged.nll, judged.tokens, resamples, seed, group)
    average = ratio_interval(means, kept, resamples, seed, group)
    figures: Figures = {
        "gen_ppl": (gen_ppl(judged.nll, judged.tokens), *np.exp(corpus).tolist()),
        "gen_ppl_mean": (gen_ppl_mean(judged.nll, judged.tokens), *np.exp(average).tolist()),
        "distinct_4": (distinct(tokens, 4),) * 3,
    }
    for name, values in (("entropy", entropy(tokens)), ("repetition_4", repetition(tokens, 4))):
        figures[name] = (float(values.mean()), *mean_interval(values, resamples, seed, group))
    return figures


def sample_figures(tokens: np.ndarray, judged: Judged, real: Real, settings: Scoring, seed: int, group: int = 1) -> Figures:
    """`text_figures` of samples [n, L], and how far they are from real text: MAUVE where settings.mauve_seeds asks for it, energy and
    Fréchet distance of the judge's features, Jensen-Shannon divergence of single tokens, bigrams and trigrams in nats."""
    figures = text_figures(tokens, judged, settings.bootstrap, seed, group)
    distances = {f"jsd_{n}": jensen_shannon(tokens, real.ids, n) for n in (1, 2, 3)}
    if judged.features.shape[1]:  # an exact judge has none
        if settings.mauve_seeds:
            mean, sd = mauve(real.features, judged.features, settings.mauve_seeds, settings.mauve_scale)
            figures["mauve"] = (mean, mean - sd, mean + sd)
        features = standardized(judged.features, real.features)
        distances = {"energy": energy(*features), "frechet": frechet(*features)} | distances
    means = {name: (float(values.mean()), *mean_interval(values, settings.bootstrap, seed, group)) for name, values in distances.items()}
    return figures | means

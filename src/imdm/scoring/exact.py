"""The exact judge: the language itself says how likely a text is.

A text that the language lacks has no likelihood. So that every figure made of likelihoods is finite, the judge takes tokens as seen
through a little noise (`imdm.languages.language`): one that would have to be changed costs about ln(V / NOISE) nats, and a valid text is
charged at most L * NOISE nats too much. Validity, and the NLL of valid texts, are without noise.
"""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Any

import numpy as np

from imdm.data.blocks import Dataset
from imdm.data.speller import BREAK
from imdm.data.tokenizer import word_level
from imdm.errors import UserError
from imdm.languages import open_language
from imdm.languages.language import Language, pair_statistics
from imdm.params import LanguageSettings, Scoring
from imdm.scoring.bootstrap import mean_interval, ratio_interval

NOISE = 1e-3  # probability that a token is taken for a uniform one
Figures = dict[str, tuple[float, float, float]]  # metric: value, low, high


class ExactJudge:
    """Stands where a `Judge` does: `named`, `check_vocabulary`, and what `metrics` asks of it."""

    precision = "float64"

    def __init__(self, settings: LanguageSettings, seq_len: int):
        self.settings, self.language = settings, open_language(settings, seq_len)
        self.name = f"language {settings.language}"

    @property
    def held_out_perplexity(self) -> float:
        """exp of the language's entropy a word."""
        return float(np.exp(self.language.entropy / self.language.text_tokens))

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """`pair_statistics` of the language."""
        return pair_statistics(self.language)

    def describe(self) -> dict[str, Any]:
        """judge.json."""
        about = self.named() | {"source": None, "revision": None, "noise": NOISE, "entropy_nats": self.language.entropy}
        about |= {"language": self.settings.alone().model_dump(mode="json"), "seq_len": self.language.seq_len}
        return about | dict.fromkeys(("low", "high"), self.held_out_perplexity)

    def named(self, scoring: Scoring | None = None) -> dict[str, Any]:
        """What results say of the judge that scored them."""
        return {"name": self.name, "precision": self.precision, "held_out_perplexity": self.held_out_perplexity}

    def check_vocabulary(self, data: Dataset, retokenize: bool) -> None:
        """Refuse samples of another language. Raises UserError: their tokens are not its words, or blocks not of its length."""
        if data.seq_len != self.language.seq_len or data.tokenizer().get_vocab() != word_level(self.language.words).get_vocab():
            raise UserError(f"the judge is {self.name} of other words or another length than {data.path}; run exact_judge again.")

    def judge(self, tokens: np.ndarray) -> dict[str, np.ndarray]:
        """The fields of `Judged` of token ids [n, L or less]: the NLL through the noise, the number of words, no features."""
        words = np.maximum(1, (tokens < self.language.end).sum(1))
        return {"nll": -self.language.log_probability(tokens, NOISE), "tokens": words, "features": np.zeros((len(tokens), 0), np.float32)}

    def examples(self, tokens: dict[int, np.ndarray]) -> list[dict[str, Any]]:
        """The first text of each step count, with its broken words in brackets and their number."""
        made, words = [], [*self.language.words, BREAK]
        for steps, blocks in tokens.items():
            broken = self.broken(blocks[:1])[0]
            inside = (blocks[0] < self.language.end) | broken
            shown = [f"[{words[token]}]" if wrong else words[token] for token, wrong in zip(blocks[0], broken, strict=True)]
            made.append({"steps": steps, "value": int(broken.sum()), "setting": " ".join(itertools.compress(shown, inside))})
        return made

    def broken(self, tokens: np.ndarray) -> np.ndarray:
        """Which tokens [n, L or less] are more likely wrong than right, seen through the noise."""
        own = np.take_along_axis(self.language.marginals(tokens, NOISE)[:, : tokens.shape[1]], tokens[..., None].astype(np.int64), 2)
        return own[..., 0] < 0.5


def exact_figures(judge: Any, tokens: np.ndarray, resamples: int, seed: int, group: int = 1) -> Figures:
    """What the language of an exact judge can say of texts [n, L or less]; nothing where the judge is another.

    validity_pct: texts of the language. nll_valid_nats: their exact NLL a word; left out where there is none. broken_tokens:
    tokens of a text that are not what they most likely were, seen through the noise, on average. coverage_pct: different valid
    texts over those of as many texts of the language. bigram_kl_nats: KL of the samples' pairs of neighbours from the language's,
    seen through the noise; entropy_gap_nats: the entropy of these pairs minus that of the language's. Both are plug-in estimates,
    so that real text of the same number is their floor. The last three are of whole blocks alone.

    Args:
        group: consecutive texts that share a prompt; the intervals draw them together.
    """
    if not isinstance(judge, ExactJudge):
        return {}
    language, log_p = judge.language, judge.language.log_probability(tokens)
    valid, words = np.isfinite(log_p), (tokens < language.end).sum(1)
    means = {"validity_pct": 100.0 * valid, "broken_tokens": judge.broken(tokens).sum(1).astype(float)}
    whole = tokens.shape[1] == language.seq_len
    if whole:
        means |= _bigrams(language, judge.pairs[0], tokens)
    figures: Figures = {name: (float(values.mean()), *mean_interval(values, resamples, seed, group)) for name, values in means.items()}
    if valid.any() and group == 1:
        nll, words = -log_p[valid], words[valid]
        figures["nll_valid_nats"] = (float(nll.sum() / words.sum()), *ratio_interval(nll, words, resamples, seed))
    if whole:
        drawn = language.draw(np.random.default_rng(seed), len(tokens))
        figures["coverage_pct"] = (100 * len(np.unique(tokens[valid], axis=0)) / len(np.unique(drawn, axis=0)),) * 3
    return figures


def _bigrams(language: Language, exact: np.ndarray, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """By metric one value a text, whose mean it is: to first order their influence functions."""
    size = language.vocab_size
    channel = (1 - NOISE) * np.eye(size) + NOISE / size
    index = tokens[:, :-1].astype(np.int64) * size + tokens[:, 1:]
    own = np.bincount(index.ravel(), minlength=size * size) / index.size
    surprise = -np.log(own[index]).mean(1)
    entropy = -(exact * np.log(np.where(exact > 0, exact, 1.0))).sum()
    seen = (channel @ exact @ channel).ravel()
    return {"bigram_kl_nats": -np.log(seen[index]).mean(1) - surprise, "entropy_gap_nats": surprise - entropy}

"""Every probability of each kind of language against a list of all its texts, and the judge and the oracle that are made of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from imdm.diffusion.counter import row_seeds
from imdm.errors import UserError
from imdm.languages import open_language
from imdm.languages.language import Language, pair_statistics, total_correlation
from imdm.languages.templates import Slot, Templates
from imdm.network.oracle import oracle_of
from imdm.params import LanguageSettings, load_params
from imdm.sampling.sampler import sample
from imdm.scoring.exact import NOISE, ExactJudge, exact_figures

WORDS = LanguageSettings(language="words", words=5, length=3, letters=3)
CHAIN = LanguageSettings(language="chain", states=3, length=4, entropy_rate=0.6)
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
STORIES = LanguageSettings(language="stories")


def agreeing() -> Templates:
    """Two templates of tied slots that can be listed: {a} x {a.1} {b}, and y {b} {a} {b} z."""
    words = list("xyzabcAB")
    first = [([2], [[0]]), ([1, 3], [[3, 6], [4, 6], [5, 7]]), ([4], [[6], [7]])]
    second = [([1, 5], [[1, 2]]), ([2, 4], [[6, 7], [7, 7]]), ([3], [[3], [4]])]
    return Templates(words, [[Slot(*map(np.array, slot)) for slot in slots] for slots in (first, second)], 8)


LANGUAGES = {"words": open_language(WORDS, 5), "padded": open_language(WORDS, 7), "chain": open_language(CHAIN, 7), "templates": agreeing()}
each = pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)


def listed(language: Language) -> tuple[np.ndarray, np.ndarray]:
    """All texts of a language [K, L], by their own definitions, and their probabilities [K]."""
    end, blocks, chances = language.end, [], []
    if isinstance(language, Templates):
        for slots in language.templates:
            values = list(itertools.product(*(range(len(slot.tokens)) for slot in slots)))
            for chosen in values:
                block = [end] * language.seq_len
                for slot, value in zip(slots, chosen, strict=True):
                    for place, token in zip(slot.positions, slot.tokens[value], strict=True):
                        block[place] = int(token)
                blocks.append(block)
                chances.append(1 / len(values) / len(language.templates))
    else:
        for text in itertools.product(range(3), repeat=4):
            moves = math.prod(language.transition[a, b] for a, b in itertools.pairwise(text))
            blocks.append([end, *text, *[end] * (language.seq_len - 5)])
            chances.append(language.stationary[text[0]] * moves)
    return np.array(blocks), np.array(chances)


def enumerated(language: Language, z: np.ndarray, noise: float) -> tuple[float, np.ndarray]:
    """P of what is seen of one block, and the marginals given it."""
    blocks, chances = listed(language)
    size, joint = language.vocab_size, chances.copy()
    for place, token in enumerate(z):
        if token < size - 1:
            joint *= np.where(blocks[:, place] == token, 1 - noise + noise / size, noise / size)
    marginals = np.zeros((language.seq_len, size))
    for place in range(language.seq_len):
        np.add.at(marginals[place], blocks[:, place], joint)
    return joint.sum(), marginals / joint.sum() if joint.sum() else marginals


def partly_seen(language: Language, count: int) -> np.ndarray:
    """Blocks of which some tokens are masked, and some are any."""
    draws = np.random.default_rng(1)
    z = language.draw(draws, count)
    z = np.where(draws.random(z.shape) < 0.1, draws.integers(language.end + 1, size=z.shape), z)
    return np.where(draws.random(z.shape) < 0.5, language.vocab_size + 5, z)


@each
@pytest.mark.parametrize("noise", [0.0, 1e-12, 0.2])
def test_probabilities_and_marginals_are_those_of_the_list(language, noise):
    z = partly_seen(language, 60)
    found, marginals = language.log_probability(z, noise), language.marginals(z, noise)
    for row, block in enumerate(z):
        chance, expected = enumerated(language, block, noise)
        assert math.exp(found[row]) == pytest.approx(chance, rel=1e-9, abs=1e-300)
        assert marginals[row] == pytest.approx(expected, abs=1e-9)


@each
def test_texts_sum_to_one_have_the_entropy_and_are_drawn_as_often(language):
    blocks, chances = listed(language)
    assert len(np.unique(blocks, axis=0)) == len(blocks)
    assert np.exp(language.log_probability(blocks)) == pytest.approx(chances)
    assert chances.sum() == pytest.approx(1) and -(chances * np.log(chances)).sum() == pytest.approx(language.entropy)
    drawn, counts = np.unique(language.draw(np.random.default_rng(0), 20_000), axis=0, return_counts=True)
    assert np.isfinite(language.log_probability(drawn)).all()
    expected = 20_000 * np.exp(language.log_probability(drawn))
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 1).all()


@each
def test_pairs_and_total_correlation_are_those_of_the_list(language):
    blocks, chances = listed(language)
    bigrams, information = pair_statistics(language)
    size, length = language.vocab_size, language.seq_len
    expected = np.zeros((size, size))
    for place in range(length - 1):
        np.add.at(expected, (blocks[:, place], blocks[:, place + 1]), chances / (length - 1))
    assert bigrams == pytest.approx(expected, abs=1e-12)

    def entropy(*places: int) -> float:
        of = np.unique(blocks[:, places], axis=0, return_inverse=True)[1].ravel()
        p = np.bincount(of, chances)
        return -(p * np.log(p)).sum()

    for i, j in itertools.combinations(range(length), 2):
        assert information[i, j] == pytest.approx(entropy(i) + entropy(j) - entropy(i, j), abs=1e-9) == information[j, i]
    whole = sum(entropy(place) for place in range(length)) - entropy(*range(length))
    assert total_correlation(language, 1, 10, 0)[0] == pytest.approx(whole)
    assert information[~np.eye(length, dtype=bool)].max() <= whole + 1e-9  # Theorem 4.1 for one step
    found, error = total_correlation(language, 2, 4000, 0)
    inner = [place for place in range(length) if entropy(place) > 0]  # the frame is always the same
    exact = 0.0  # by every set of positions that the first of two steps writes
    for chosen in itertools.product((0, 1), repeat=len(inner)):
        first = [place for place, step in zip(inner, chosen, strict=True) if not step]
        given = entropy(*first) if first else 0.0
        exact += sum(entropy(*first, place) - given if place not in first else entropy(place) for place in inner) / 2 ** len(inner)
    assert found == pytest.approx(exact - entropy(*inner), abs=5 * error + 1e-9)


def test_words_are_different_and_another_seed_draws_others():
    tables = [listed(open_language(WORDS.model_copy(update={"language_seed": seed}), 5))[0] for seed in (0, 0, 1)]
    assert np.array_equal(tables[0], tables[1]) and not np.array_equal(tables[0], tables[2])


def test_a_chain_has_its_entropy_rate():
    language = open_language(LanguageSettings(language="chain", states=16, length=12, entropy_rate=1.1), 14)
    nll = -language.log_probability(language.draw(np.random.default_rng(0), 4000))
    assert nll.mean() == pytest.approx(language.entropy, abs=0.2)
    p, pi = language.transition, language.stationary
    assert -(pi[:, None] * p * np.log(p)).sum() == pytest.approx(1.1) and pi @ p == pytest.approx(pi)


def test_stories_agree():
    """Names and pronouns, colours and days of drawn stories; their number; and a text with a broken agreement is none."""
    language = open_language(STORIES, 32)
    assert isinstance(language, Templates) and sum(language.counts) > 1e5
    blocks = language.draw(np.random.default_rng(0), 400)
    counts = (blocks < language.end).sum(1)
    assert counts.min() >= 16 and counts.max() <= 32
    assert np.exp(-language.log_probability(blocks)) == pytest.approx([6 * language.counts[_template(language, block)] for block in blocks])
    for block in blocks:
        words = language.text(block).split()
        boys = {"Adam", "Boris", "Carl", "Max", "Noah", "Otto", "Paul"} & {words[0]}
        assert not (boys and "She" in words)
        days = [DAYS.index(word) for word in words if word in DAYS]
        assert len(days) < 2 or days[1] == (days[0] + 1) % 7
    block = next(block for block in blocks if "He" in language.text(block).split()).copy()
    block[block == language.words.index("He")] = language.words.index("She")
    assert language.log_probability(block[None])[0] == -math.inf


def _template(language: Templates, block: np.ndarray) -> int:
    fits = [all((block[slot.positions] == slot.tokens).all(1).any() for slot in slots) for slots in language.templates]
    assert sum(fits) == 1
    return fits.index(True)


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize(("settings", "name"), [(WORDS, "padded"), (CHAIN, "chain")])
def test_the_oracle_is_exact_where_each_step_writes_one_token(settings, name, even):
    """Its samples of many steps, or of as many even ones as there are tokens, are the language's; those of one step have its marginals."""
    language = LANGUAGES[name]
    oracle = oracle_of(settings, language.seq_len, "").eval()
    steps, unmasking = (language.seq_len, "even") if even else (10_000, "independent")
    x = sample(oracle, row_seeds(0, 0, 3000), steps, unmasking=unmasking).tokens.numpy()
    kinds, counts = np.unique(x, axis=0, return_counts=True)
    expected = 3000 * np.exp(language.log_probability(kinds))
    assert counts[expected == 0].sum() <= (0 if even else 12)  # of two tokens in one of the 10,000 steps
    assert (np.abs(counts - expected)[expected > 0] < 5 * np.sqrt(expected[expected > 0]) + 1).all()
    one = sample(oracle, row_seeds(0, 0, 3000), 1).tokens.numpy()
    single = language.marginals(np.full((1, language.seq_len), language.vocab_size))[0]
    for place in range(language.seq_len):
        rates = np.bincount(one[:, place], minlength=language.vocab_size) / 3000
        assert rates == pytest.approx(single[place], abs=0.05)
    z = torch.from_numpy(np.concatenate([x[:1], x[:1]]))
    z[1, 2] = language.vocab_size
    inside = oracle(z, torch.tensor([language.seq_len + 2])).double().softmax(-1)[0].numpy()
    assert inside == pytest.approx(enumerated(language, z[1].numpy(), 0.0)[1][2], abs=1e-9)


def test_figures_of_the_language_itself_and_of_broken_texts():
    judge = ExactJudge(STORIES, 32)
    language = judge.language
    real = language.draw(np.random.default_rng(5), 600)
    figures = exact_figures(judge, real, 50, 0)
    assert figures["validity_pct"] == (100, 100, 100) and figures["broken_tokens"][0] == 0
    assert figures["nll_valid_nats"][0] == pytest.approx(language.entropy / language.text_tokens, rel=0.02)
    assert figures["coverage_pct"][0] == pytest.approx(100, abs=1) and abs(figures["bigram_kl_nats"][0]) < 0.3
    broken = real.copy()
    broken[::2, 1] = language.words.index("He")  # no text begins with it
    worse = exact_figures(judge, broken, 50, 0)
    assert worse["validity_pct"][0] == 50 and worse["broken_tokens"][0] == pytest.approx(0.5, abs=0.1)
    assert worse["nll_valid_nats"][0] == pytest.approx(figures["nll_valid_nats"][0], rel=0.05)
    assert worse["bigram_kl_nats"][0] > figures["bigram_kl_nats"][0]
    nll = judge.judge(broken)["nll"] - judge.judge(real)["nll"]
    assert np.abs(nll[1::2]).max() == 0 and nll[::2].mean() == pytest.approx(math.log(language.vocab_size / NOISE), abs=4)
    one = np.repeat(real[:1], 600, 0)
    same = exact_figures(judge, one, 50, 0)
    assert same["coverage_pct"][0] < 1 and same["entropy_gap_nats"][0] < -1
    assert set(exact_figures(judge, real[:, :12], 50, 0, group=4)) == {"validity_pct", "broken_tokens"}
    assert exact_figures(None, real, 50, 0) == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("corpus.language=null", "language must be given"),
        ("corpus.packing=carry", "packing must be document"),
        ("corpus={language: words, words: 99, length: 2, letters: 3}", "only letters"),
        ("corpus={language: chain, entropy_rate: 9.0}", "it must be"),
    ],
)
def test_settings_that_name_no_language_are_one_sentence(changes, said, tmp_path):
    (tmp_path / "a.yaml").write_text("corpus: {name: language, language: stories, packing: document, seq_len: 32}")
    key, value = changes.split("=", 1)
    (tmp_path / "b.yaml").write_text(f"{key}: {value}" if key == "corpus" else f"corpus: {{{key.removeprefix('corpus.')}: {value}}}")
    with pytest.raises(UserError, match=said):
        load_params([tmp_path / "a.yaml", tmp_path / "b.yaml"])


def test_a_block_that_is_too_short_is_one_sentence():
    with pytest.raises(UserError, match="at least 32"):
        open_language(STORIES, 31)

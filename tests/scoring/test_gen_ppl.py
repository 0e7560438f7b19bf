"""Gen-PPL, against transformers' own loss and a plain loop over decoded text."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import judges
from fixtures import fixture
from imdm.data.tokenizer import load_tokenizer, train_bpe
from imdm.params import Scoring
from imdm.scoring.gen_ppl import counted, decode, gen_ppl, judge_ids, judge_texts, scored
from imdm.scoring.metrics import judge_samples
from judges import LENGTH, packed


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    return judges.small_judge(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A judge with a vocabulary of its own."""
    return judges.small_judge(tmp_path_factory.mktemp("other"), vocabulary=train_bpe(judges.TEXT[1:] * 4, 280))


def own_loss(judge, ids: list[int], counts: list[bool] | None = None) -> float:
    """transformers' loss of one text, mean over the targets that count."""
    ids = torch.tensor([ids])
    labels = ids if counts is None else ids.masked_fill(~torch.tensor([counts]), -100)
    with torch.inference_mode():
        return judge.model(ids, labels=labels).loss.item()


def test_a_text_begins_with_the_judges_own_beginning_of_text(tmp_path):
    """Also where the judge has another than <|endoftext|>, which it would else read as so many characters."""
    vocabulary = Tokenizer.from_str(judges.tokenizer().to_str().replace("<|endoftext|>", "</s>"))
    other, own = judges.small_judge(tmp_path, vocabulary=vocabulary), judges.small_judge(tmp_path / "own")
    texts, by_own = (judge_ids(packed(6), judges.tokenizer(), judge, True) for judge in (other, own))
    assert all(text[0] == text[-1] == 0 for text in texts) and texts == by_own


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 2e-3)])
def test_nll_is_transformers_own_loss(tmp_path, precision, tolerance):
    judge = judges.small_judge(tmp_path, precision)
    rows = np.random.default_rng(0).integers(1, 290, (20, LENGTH))
    judged = judge_texts(judge, rows.tolist(), 16)
    for row, nll, tokens in zip(rows.tolist(), judged.nll, judged.tokens, strict=True):
        assert tokens == LENGTH - 1
        assert nll / tokens == pytest.approx(own_loss(judge, row), rel=tolerance)
    together = judge.model(torch.from_numpy(rows), labels=torch.from_numpy(rows)).loss.item()
    assert math.log(gen_ppl(judged.nll, judged.tokens)) == pytest.approx(together, rel=tolerance)


@pytest.mark.parametrize(
    ("row", "targets"),
    [
        ([0, 5, 6, 7, 0], [1, 1, 1, 0]),  # packed: BOS at position 0 is the first end-of-text, so no other counts
        ([0, 5, 0, 7, 0], [1, 0, 1, 0]),  # ... and text after an inner one counts
        ([5, 6, 0, 7, 0], [1, 1, 1, 0]),  # no BOS: the first end-of-text counts, the second doesn't
        ([5, 6, 7], [1, 1, 0, 0]),  # padding doesn't count, though it is end-of-text
        ([0, 0, 0, 0, 0], [0, 0, 0, 0]),
        ([5], [0, 0, 0, 0]),
    ],
)
def test_counting_rule(judge, row, targets):
    ids = torch.tensor([row + [0] * (5 - len(row))])
    assert counted(ids, torch.tensor([len(row)]), 0).int().tolist() == [targets]
    judged = judge_texts(judge, [row], 1)
    assert judged.tokens.tolist() == [sum(targets)]
    counts = [False, *map(bool, targets[: len(row) - 1])]
    assert judged.nll[0] == pytest.approx(sum(targets) * own_loss(judge, row, counts) if any(counts) else 0, rel=1e-5)


def test_batches_of_any_size_and_order_give_the_same(judge):
    draw = np.random.default_rng(1)
    rows = [draw.integers(0, 290, draw.integers(1, LENGTH + 1)).tolist() for _ in range(23)]
    alone = [judge_texts(judge, [row], 1) for row in rows]
    for size in (4, 64):
        together = judge_texts(judge, rows, size)
        np.testing.assert_allclose(together.nll, [one.nll[0] for one in alone], rtol=1e-5, atol=1e-5)
        assert together.tokens.tolist() == [one.tokens[0] for one in alone]
        np.testing.assert_allclose(together.features, np.concatenate([one.features for one in alone]), rtol=1e-4, atol=1e-5)


def test_only_what_counts_is_projected(judge):
    rows, projected = [[0, 5, 6, 7, 0], [5, 6, 0, 7], [0, 0], [8]], []
    hook = judge.model.get_output_embeddings().register_forward_hook(lambda module, inputs, logits: projected.append(len(logits)))
    judged = judge_texts(judge, rows, 3)
    hook.remove()
    assert judged.tokens.tolist() == [3, 3, 0, 0] and projected == [6, 0]


def test_features_are_the_last_hidden_state_at_the_last_token(judge):
    rows = [[0, 5, 6, 7], [0, 9]]
    found = judge_texts(judge, rows, 8).features
    for row, feature in zip(rows, found, strict=True):
        with torch.inference_mode():
            states = judge.model(torch.tensor([row]), output_hidden_states=True).hidden_states[-1]
        np.testing.assert_allclose(feature, states[0, -1].numpy(), rtol=1e-4, atol=1e-5)


# Retokenisation


def test_retokenised_text_is_scored_as_a_plain_loop_does(other):
    tokenizer, samples = judges.tokenizer(), packed(9)
    samples[:3, 0], samples[2:5, 6] = 7, 0  # some without BOS, some with an inner end-of-text
    found = judge_texts(other, judge_ids(samples, tokenizer, other, True), 4)
    for sample, nll, tokens in zip(samples.tolist(), found.nll, found.tokens, strict=True):
        text = tokenizer.decode(sample, skip_special_tokens=False)
        ids = other.tokenizer.encode(text, add_special_tokens=False).ids[: other.max_length]
        with torch.inference_mode():
            scores = other.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        total, count, ended = 0.0, 0, ids[0] == other.end_id
        for i in range(1, len(ids)):
            if ids[i] == other.end_id and ended:
                continue
            ended = ended or ids[i] == other.end_id
            total, count = total - scores[i - 1, ids[i]].item(), count + 1
        assert (tokens, nll) == (count, pytest.approx(total, rel=1e-5))


def test_retokenising_keeps_the_text_and_its_special_tokens(judge):
    tokenizer = judges.tokenizer()
    samples = np.array([[0, *tokenizer.encode("the list").ids, 0, *tokenizer.encode(" of names").ids, 0]])
    (ids,) = judge_ids(samples, tokenizer, judge, True)
    assert ids == samples[0].tolist()
    bytewise = np.array([[0, *(tokenizer.token_to_id(letter) for letter in "thelist"), 0]])
    (ids,) = judge_ids(bytewise, tokenizer, judge, True)
    assert ids == [0, *tokenizer.encode("thelist").ids, 0] and len(ids) < bytewise.shape[1]
    assert judge_ids(bytewise, tokenizer, judge, False) == bytewise.tolist()


def test_special_tokens_of_a_bert_vocabulary_reach_the_judge_as_strings(judge):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "list", "##s", "."]
    bert = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    bert.pre_tokenizer, bert.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    bert.add_special_tokens(words[:5])
    (ids,) = judge_ids(np.array([[2, 5, 6, 7, 8, 3]]), bert, judge, True)
    assert judge.tokenizer.decode(ids) == "[CLS] the lists. [SEP]"


def test_cleaned_text_is_what_transformers_decodes(judge):
    """Its BERT tokenizer, by which MDLM, Duo and IMDM decode LM1B, cleans up unless it is told not to."""
    from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

    folder = fixture("tokenizers/bert_base_uncased")
    bert, oracle = load_tokenizer(str(folder)), BertTokenizerLegacy(str(folder / "vocab.txt"))
    lines = fixture("lm1b/news.en.heldout-00000-of-00050").read_text(encoding="utf-8").splitlines()[:1500]
    stream = [token for line in lines for token in (101, *bert.encode(line).ids)]
    text = np.array(stream[: len(stream) // 128 * 128]).reshape(-1, 128)
    for samples in (text, np.random.default_rng(0).integers(1000, 30_522, (100, 128))):
        assert decode(samples, bert, clean_up=True) == [oracle.decode(row) for row in samples.tolist()]
        assert decode(samples, bert, clean_up=True) != decode(samples, bert, clean_up=False)
    sample, texts = np.array([[101, *bert.encode("I don't.").ids, 101]]), []
    for clean_up in (True, False):
        (ids,) = judge_ids(sample, bert, judge, True, clean_up)
        texts.append(judge.tokenizer.decode(ids))
    assert texts == ["[CLS] i don't. [CLS]", "[CLS] i don ' t. [CLS]"]


def test_mauve_reads_as_many_tokens_as_a_sample_has(other):
    """As in the authors' code, which cuts the text of 100 tokens to 100 of the judge's."""
    tokenizer, samples = judges.tokenizer(), packed(4)[:, :6]
    ids = judge_ids(samples, tokenizer, other, True)
    found = judge_samples(other, samples, tokenizer, Scoring(retokenize=True))
    assert all(len(text) > 6 for text in ids) and np.array_equal(found.tokens, judge_texts(other, ids, 4).tokens)
    np.testing.assert_allclose(found.features, judge_texts(other, [text[:6] for text in ids], 4).features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("retokenize", [True, False])
def test_texts_are_cut(judge, retokenize):
    tokenizer = judges.tokenizer()
    samples = np.array([[tokenizer.token_to_id(letter) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]])
    whole = judge_ids(samples, tokenizer, judge, retokenize)[0]
    assert len(whole) == judge.max_length < samples.shape[1]
    assert judge_ids(samples, tokenizer, judge, retokenize, most=5)[0] == whole[:5]
    assert judge_ids(samples, tokenizer, judge, retokenize, most=1000)[0] == whole


def test_of_completions_the_first_tokens_are_scored_the_prompt_among_them():
    samples = np.arange(3 * 1024).reshape(3, 1024)
    assert scored(samples, {"prompt_tokens": 50, "scored_tokens": 100})[1].tolist() == list(range(1024, 1124))
    assert scored(samples, None).shape == (3, 1024)

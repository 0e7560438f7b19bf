"""The memorization audit: hand-counted shares, brute force, copies, chance, and a map that is known by heart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imdm.audit.pairs import load_audited, one_step, pair_figures, pair_frame
from imdm.audit.texts import Corpora, hash_ngrams, nearest_overlap, search, shared, text_figures, text_frame
from imdm.diffusion.counter import root_seed, row_seeds
from imdm.diffusion.states import mask_where
from imdm.distill.couplings import CouplingSet, make_couplings, save_couplings
from imdm.distill.redi import RediTraining
from imdm.errors import UserError
from imdm.params import Couplings, Redi
from networks import small_network

CPU = torch.device("cpu")


def looked_up(rows: np.ndarray, blocks: np.ndarray, n: int):
    return search(rows, blocks, n, lambda blocks: None, nearest=True)


def test_shares_counted_by_hand():
    corpus = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 1, 2]])
    rows = np.array([[2, 3, 4, 9, 9], [8, 1, 2, 3, 4], [1, 2, 1, 2, 1]])
    share, nearest = looked_up(rows, corpus, 2)
    assert share == pytest.approx([2 / 4, 4 / 4, 2 / 4])  # 23 34; 81 12 23 34; 12 twice, but no 21
    assert nearest == pytest.approx([2 / 4, 3 / 4, 2 / 4])  # the second row is spread over both blocks
    assert looked_up(rows, corpus, 5)[0].tolist() == [0, 0, 0]
    assert shared(hash_ngrams(rows, 2)) == pytest.approx([2 / 4, 3 / 4, 2 / 4])  # a row does not count for itself
    assert nearest_overlap(rows, torch.from_numpy(corpus), CPU) == pytest.approx([0, 0, 2 / 5])


tokens = arrays(np.int64, st.tuples(st.integers(1, 6), st.just(7)), elements=st.integers(0, 3))


@settings(deadline=None, max_examples=60)
@given(tokens, tokens, st.integers(1, 7))
def test_search_is_that_of_python_sets(rows, corpus, n):
    def grams(row: np.ndarray) -> list[tuple[int, ...]]:
        return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]

    blocks = [set(grams(block)) for block in corpus]
    every = set().union(*blocks)
    share, nearest = looked_up(rows, corpus.astype(np.uint16), n)
    assert share == pytest.approx([np.mean([gram in every for gram in grams(row)]) for row in rows])
    assert nearest == pytest.approx([max(np.mean([gram in block for gram in grams(row)]) for block in blocks) for row in rows])
    others = [set().union(*(grams(other) for j, other in enumerate(rows) if j != i)) for i in range(len(rows))]
    among = [np.mean([gram in other for gram in grams(row)]) for row, other in zip(rows, others)]
    assert shared(hash_ngrams(rows, n)) == pytest.approx(among)
    overlaps = [max((row == block).mean() for block in corpus) for row in rows]
    assert nearest_overlap(rows, torch.from_numpy(corpus), CPU) == pytest.approx(overlaps)


def test_parts_of_a_corpus_change_nothing(monkeypatch):
    draw = np.random.default_rng(0)
    rows, corpus = draw.integers(0, 5, (9, 12)), draw.integers(0, 5, (50, 12)).astype(np.uint16)
    whole, overlap = looked_up(rows, corpus, 4), nearest_overlap(rows, torch.from_numpy(corpus), CPU)
    monkeypatch.setattr("imdm.audit.texts._TOKENS", 84)
    monkeypatch.setattr("imdm.audit.texts._COUPLINGS", 63)
    blocks = []
    parts = search(rows, corpus, 4, blocks.append, True)
    assert blocks == [7] * 7 + [1]
    assert all(map(np.array_equal, parts, whole))
    assert np.array_equal(nearest_overlap(rows, torch.from_numpy(corpus), CPU), overlap)


def test_hashes_tell_ngrams_apart():
    grams = np.stack(np.meshgrid(*[np.arange(8)] * 6), -1).reshape(-1, 6)  # every 6-gram of 8 tokens
    assert len(np.unique(hash_ngrams(grams, 6))) == 8**6
    draw = np.random.default_rng(1).integers(0, 2**16, (200_000, 8))
    assert len(np.unique(hash_ngrams(draw, 8))) == len(draw)


def copies(texts: np.ndarray, couplings: np.ndarray) -> dict[str, float]:
    """The figures of samples beside couplings and a training text without any of them."""
    corpora = Corpora(np.full((3, texts.shape[1]), 999, dtype=np.uint16), torch.from_numpy(couplings))
    frame = text_frame({("m", 1): texts}, corpora, [4, 8], CPU, lambda blocks: None)
    return {row["metric"]: row["value"] for row in text_figures(frame, 20, 0)}


def test_a_model_that_returns_its_couplings():
    couplings = np.random.default_rng(0).integers(0, 500, (64, 32))
    found = copies(couplings[::-1].copy(), couplings)
    assert found["in_couplings_4_pct"] == found["in_couplings_8_pct"] == 100
    assert found["nearest_coupling_pct"] == found["nearest_coupling_max_pct"] == 100
    assert found["in_train_4_pct"] == found["nearest_block_pct"] == found["shared_8_pct"] == 0
    noisy = couplings.copy()
    noisy[:, ::4] = 600
    found = copies(noisy, couplings)
    assert found["nearest_coupling_pct"] == 75 and found["in_couplings_4_pct"] == 0  # a noisy copy shows by position alone


def test_random_text_shares_what_chance_gives():
    draw = np.random.default_rng(0)
    texts, couplings = draw.integers(0, 10, (400, 32)), draw.integers(0, 10, (40, 32))
    expected = 1 - (1 - 1e-4) ** (40 * 29)  # a given 4-gram of 10 tokens among those of the couplings
    assert copies(texts, couplings)["in_couplings_4_pct"] == pytest.approx(100 * expected, rel=0.1)
    assert copies(texts, couplings)["in_couplings_8_pct"] == 0


# Pairs


def pairs(count: int, first: int = 0, seed: int = 1) -> dict[str, torch.Tensor]:
    blocks = np.random.default_rng(0).integers(0, 3, (30, 5)).astype(np.uint16)
    return make_couplings(small_network(mask="single"), blocks, first, count, Couplings(pairs=count, steps=4), seed)


def test_one_step_is_the_networks_prediction_and_batches_change_nothing():
    network, made = small_network(), pairs(12)
    nll, equal = one_step(network, made, made["seed"], 5)
    whole = one_step(network, made, made["seed"], 12)
    assert torch.allclose(nll, whole[0], rtol=1e-5) and torch.equal(equal, whole[1])
    for i in range(12):
        row = {name: value[i : i + 1] for name, value in made.items()}
        place = row["masked"][0].nonzero().squeeze(1)
        logits = network(mask_where(row["x"].long(), row["masked"], row["seed"], 7), place).log_softmax(-1)
        expected = -logits[range(len(place)), row["x"][0, place].long()].sum().item()
        assert nll[i].item() == pytest.approx(expected, abs=1e-4)
        assert equal[i] == (logits.argmax(-1) == row["x"][0, place]).sum()


def test_a_single_mask_has_no_gap_and_an_infinite_one_does():
    for mask, exact in (("single", True), ("infinite", False)):
        frame = pair_frame(small_network(mask=mask), "m", {"seen": pairs(12), "unseen": pairs(12, first=12)}, 0, 8)
        found = {row["metric"]: row for row in pair_figures(frame, 50, 0)}
        for kind in ("seen", "unseen"):
            gap = found[f"noise_gap_{kind}"]
            assert ((gap["value"], gap["low"], gap["high"]) == (0, 0, 0)) == exact
            assert gap["value"] == pytest.approx(found[f"nll_{kind}_fresh"]["value"] - found[f"nll_{kind}_own"]["value"])


def test_figures_of_pairs_by_hand():
    columns = {"model": "m", "pairs": ["seen", "seen", "unseen"], "tokens": [2, 3, 4], "nll_own": [1.0, 2.0, 8.0]}
    frame = pd.DataFrame(columns | {"nll_fresh": [3.0, 4.0, 6.0], "equal_own": [2, 2, 1], "equal_fresh": [0, 1, 2]})
    found = {row["metric"]: row["value"] for row in pair_figures(frame, 10, 0)}
    assert found["nll_seen_own"] == pytest.approx(0.6) and found["nll_unseen_own"] == pytest.approx(2)
    assert found["noise_gap_seen"] == pytest.approx(0.8) and found["noise_gap_unseen"] == pytest.approx(-0.5)
    assert found["pair_gap"] == pytest.approx(1.4) and found["equal_seen_own_pct"] == pytest.approx(80)


def test_pairs_learnt_by_heart_show():
    """A network that is trained on 8 pairs knows them with their own noise alone, and no others."""
    torch.manual_seed(0)
    network = small_network(random=False, seq_len=5, noise_dim=64, mask="infinite")
    made = pairs(8)
    made["masked"][:] = True  # nothing but the noise tells the pairs apart
    couplings = CouplingSet(**made | {"t": torch.ones(8).double()}, about={})
    training = RediTraining(network, Redi(steps=300, batch_size=8, lr=5e-3, warmup=0), 0, couplings)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for step in range(300):
        optimizer.zero_grad()
        training.loss(step).backward()
        optimizer.step()
    others = pairs(8, first=8)
    others["masked"][:] = True
    found = {row["metric"]: row for row in pair_figures(pair_frame(network.eval(), "m", {"seen": made, "unseen": others}, 3, 8), 200, 0)}
    assert found["nll_seen_own"]["value"] < 0.1 and found["equal_seen_own_pct"]["value"] == 100
    assert found["nll_seen_fresh"]["value"] > 0.5 and found["noise_gap_seen"]["low"] > 0.4
    assert found["nll_unseen_own"]["value"] > 0.5 and found["pair_gap"]["low"] > 0.4
    assert abs(found["noise_gap_unseen"]["value"]) < found["noise_gap_seen"]["value"]


def test_couplings_of_other_settings_or_seeds_are_refused(tmp_path):
    network, settings = small_network(mask="single"), Couplings(pairs=8, steps=4)
    path = tmp_path / "couplings.safetensors"
    save_couplings(path, pairs(8, seed=1), network.config, settings)
    assert torch.equal(load_audited(path, network.config, settings, 1).seed[:1], row_seeds(root_seed(1, "couplings"), 0, 1))
    with pytest.raises(UserError, match="was made with couplings.steps 4, not 5"):
        load_audited(path, network.config, Couplings(pairs=8, steps=5), 1)
    with pytest.raises(UserError, match="not made with seeds.couplings 2"):
        load_audited(path, network.config, settings, 2)

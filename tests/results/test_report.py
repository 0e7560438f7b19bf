"""Figures and report.html, from scores that the tests invent."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import fake_run
from html_page import Page
from imdm.report.samples import BREAK, Speller, byte_of_character
from imdm.report.style import styled
from imdm.report.training import read_log, training

FIGURES = ("figure02", "frontier", "dictionary", "chain", "factorization", "training")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run.finished(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def test_figures_are_there_and_deterministic(run, tmp_path):
    files = {f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg")}
    assert {path.name for path in (run / "figures").iterdir()} == files | {"figure02.meta.json"}
    assert (
        fake_run.stage(
            "plot",
            "--tables",
            f"{run}/tables/tables.csv",
            "--dictionary",
            f"{run}/dictionary/dictionary.csv",
            "--out",
            f"{tmp_path}/figures/figure02.png",
        )
        == 0
    )
    assert not (tmp_path / "figures" / "training.svg").exists()  # no --logs
    for name in ("figure02.svg", "figure02.png", "frontier.svg"):
        assert (tmp_path / "figures" / name).read_bytes() == (run / "figures" / name).read_bytes()
    svg = (run / "figures" / "figure02.svg").read_text()
    assert "SDTT (3 rounds) + ReDi" in svg and "dc:date" not in svg


def test_training_leaves_out_what_was_loaded(run, tmp_path):
    header = (run / "teacher" / "train_log.csv").read_text().splitlines()[0] + "\n"
    (tmp_path / "loaded.csv").write_text(header)
    assert read_log(tmp_path / "loaded.csv") == ([], [])
    with styled():
        training({"teacher": tmp_path / "loaded.csv"}, tmp_path / "none")
        training(
            {
                "teacher": tmp_path / "loaded.csv",
                "public/sdtt": tmp_path / "loaded.csv",
                "mdlm/sdtt1": run / "models" / "mdlm" / "sdtt1" / "train_log.csv",
            },
            tmp_path / "some",
        )
    assert "Nothing was trained" in (tmp_path / "none.svg").read_text()
    drawn = (tmp_path / "some.svg").read_text()
    assert "SDTT" in drawn and "Pretraining" not in drawn and "sdtt" not in drawn


def test_page_is_one_file_that_loads_nothing(page):
    parsed = Page(page)
    assert not parsed.open
    assert all(address.startswith(("#", "data:")) for address in parsed.addresses)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest", page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert len(page.encode()) < 5e6
    assert parsed.tags.count("svg") == 6 and parsed.tags.count("table") == 14
    assert "exhibits" not in parsed.ids  # none was made of this run


def test_page_escapes_what_samples_and_parameters_hold(page):
    assert Page(page).tags.count("script") == 2  # the data and the code: none from a sample
    assert page.count("</script>") == 2
    assert "\\u003c" in page
    assert "alert(1)</script>" not in page


def test_page_tells_parameters_times_and_commands(page):
    for text in ("pretrain.steps", "corpus.vocab_size", "1 min 41 s", "largest process used", "2.13.0", "a" * 40):
        assert text in page
    assert "<pre>dvc repro</pre>" in page and "snakemake --profile slurm" in page and "python stages/sdtt.py" in page
    assert "arXiv 2605.10518" in page and "CC BY 4.0" in page


def test_report_refuses_samples_of_another_tokenizer(run, tmp_path, capsys):
    shutil.copytree(run.parents[1], tmp_path / "all")
    data = tmp_path / "all" / "data" / fake_run.DATA
    tokenizer, digest = fake_run.data(data)
    (data / "dataset.json").write_text((data / "dataset.json").read_text().replace(digest, "0" * 64))
    (data / "meta.json").unlink()
    assert fake_run.report(tmp_path / "all" / "results" / "tiny") == 2
    assert "tokenizer" in capsys.readouterr().err


def test_pieces_hold_whole_characters(run):
    from imdm.data.blocks import Dataset

    tokenizer = Dataset.open(run.parents[1] / "data" / fake_run.DATA / "dataset.json").tokenizer()
    text = "a é 日本 \U0001f600 <b>"
    ids = tokenizer.encode(text).ids
    pieces = Speller(tokenizer, {0}).pieces([0, *ids, 0], [-1, *range(len(ids)), 3])
    assert pieces[0] == (BREAK, -1) and pieces[-1] == (BREAK, 3)
    assert "".join(piece for piece, _ in pieces[1:-1]) == text
    emoji = tokenizer.encode("\U0001f600").ids
    assert len(emoji) == 4
    assert Speller(tokenizer, {0}).pieces(emoji, [1, 7, 0, 2]) == [("\U0001f600", 7)]  # whole when the last of its tokens is there
    cut = Speller(tokenizer, {0}).pieces([*emoji[:2], 0], [5, 2, 0])
    assert cut == [("\ufffd", 5), (BREAK, 0)]


def test_wordpieces_are_joined_to_words():
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece

    vocabulary = {"[CLS]": 0, "[UNK]": 1, "un": 2, "##mask": 3, "##ed": 4, "text": 5}
    pieces = Speller(Tokenizer(WordPiece(vocabulary, unk_token="[UNK]")), {0}).pieces([0, 2, 3, 4, 5, 0], [-1, 3, 0, 1, 2, 2])
    assert pieces == [(BREAK, -1), (" un", 3), ("mask", 0), ("ed", 1), (" text", 2), (BREAK, 2)]


def test_byte_alphabet_is_that_of_the_tokenizers_library():
    from tokenizers.pre_tokenizers import ByteLevel

    assert set(byte_of_character()) == set(ByteLevel.alphabet())
    assert sorted(byte_of_character().values()) == list(range(256))
    shown = ByteLevel(add_prefix_space=False).pre_tokenize_str("é\n")
    assert bytes(byte_of_character()[char] for word, _ in shown for char in word) == "é\n".encode()

"""What the tests of corpora share: the stage in this process, archives, the fixtures, packing by a plain loop."""

from __future__ import annotations

import io
import itertools
import subprocess
import tarfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models

from imdm.data.blocks import Dataset
from imdm.data.tokenizer import END, MASK, add_special
from imdm.stage.artifact import sha256, write_json
from script import made, run


def packed(out: Path, **corpus: object) -> subprocess.CompletedProcess[str]:
    """Run tokenize_pack with these settings of `corpus`; by default without the judge's and the test split."""
    settings = {"test_fraction": 0, "judge_fraction": 0} | corpus
    return run("tokenize_pack", "--out", out, sets=[f"corpus.{key}={value}" for key, value in settings.items()])


def few_words(folder: Path, *sets: str) -> Dataset:
    """A packed corpus of a few hundred sentences of twelve words."""
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat", "and", "saw", "one", "red", "dog", "run"], 6000)
    (folder / "text.txt").write_text("\n\n".join(" ".join(words[i : i + 12]) for i in range(0, len(words), 12)))
    corpus = ["corpus.name=files", f"corpus.path={folder}/text.txt", "corpus.vocab_size=280"]
    return Dataset.open(made("tokenize_pack", folder / "data", sets=[*corpus, *sets]) / "dataset.json")


def write_dataset(folder: Path, tokenizer: Tokenizer, splits: dict[str, np.ndarray], mask_id: int | None = None) -> Dataset:
    """Blocks [n, L] by split, laid out as tokenize_pack does; the mask is the last token where no other is given."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    counts, size = {}, tokenizer.get_vocab_size()
    for name, blocks in splits.items():
        blocks.astype("<u2").tofile(folder / f"{name}.bin")
        counts[name] = {"blocks": len(blocks), "tokens": blocks[:, 2:].size, "dropped": 0, "documents": len(blocks)}
        counts[name]["sha256"] = sha256(folder / f"{name}.bin")
    about = {"corpus": "files", "packing": "carry", "seq_len": blocks.shape[1], "vocab_size": size, "bos_id": 0, "eos_id": 0}
    about |= {"mask_id": size - 1 if mask_id is None else mask_id, "tokenizer_kind": "BPE", "tokenizer_source": "trained"}
    about |= {"tokenizer_sha256": sha256(folder / "tokenizer.json"), "splits": counts, "statistics": {}}
    write_json(folder / "dataset.json", about)
    return Dataset.open(folder / "dataset.json")


def random_corpus(folder: Path, vocab_size: int, mask_id: int, seq_len: int) -> Dataset:
    """30 blocks a split of random tokens, and a tokenizer of one token a word: w0, w1, ..."""
    words = [END, *(f"w{index}" for index in range(vocab_size - 2))]
    words.insert(mask_id, MASK)
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="w0"))
    add_special(tokenizer, END, MASK)
    tokens = np.delete(np.arange(vocab_size), mask_id)
    splits = {name: np.random.default_rng(seed).choice(tokens, (30, seq_len)) for seed, name in enumerate(("train", "valid"))}
    return write_dataset(folder, tokenizer, splits, mask_id)


def tar_of(files: dict[str, bytes], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def plain_blocks(documents: list[list[int]], seq_len: int, end: int, batch: int) -> list[list[int]]:
    blocks = []
    for start in range(0, len(documents), batch):
        stream = list(itertools.chain.from_iterable(documents[start : start + batch]))
        blocks += [[end, *stream[i : i + seq_len - 2], end] for i in range(0, len(stream) - (seq_len - 3), seq_len - 2)]
    return blocks

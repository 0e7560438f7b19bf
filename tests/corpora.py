"""What the tests of corpora share: the stage in this process, archives, the fixtures, packing by a plain loop."""

from __future__ import annotations

import io
import itertools
import subprocess
import tarfile
from pathlib import Path

import numpy as np

from imdm.data.blocks import Dataset
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

"""What the tests of corpora share: the stage in this process, archives, the fixtures, packing by a plain loop."""

from __future__ import annotations

import io
import itertools
import tarfile
from pathlib import Path

import tokenize_pack
from imdm.stage.job import run_stage

TESTS = Path(__file__).resolve().parent


def stage(out: Path, **corpus: object) -> int:
    settings = {"test_fraction": 0, "judge_fraction": 0} | corpus
    sets = [part for key, value in settings.items() for part in ("--set", f"corpus.{key}={value}")]
    arguments = ["--params", str(TESTS / "micro.yaml"), "--out", str(out), *sets]
    return run_stage(
        str(TESTS.parent / "stages" / "tokenize_pack.py"),
        tokenize_pack.__doc__,
        tokenize_pack.READS,
        tokenize_pack.arguments,
        tokenize_pack.run,
        arguments,
    )


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

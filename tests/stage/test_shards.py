"""Shards: together they are what one job would have made, and nothing else passes for that."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from corpora import few_words
from imdm.errors import UserError
from imdm.stage.shards import About, about_rows, load_rows, merge_shards, shard_rows
from script import made, run


@given(st.integers(1, 1000), st.data())
def test_shards_tile_the_rows_evenly(total, data):
    count = data.draw(st.integers(1, total))
    parts = [shard_rows(total, f"{number}/{count}") for number in range(1, count + 1)]
    assert [row for part in parts for row in part] == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert shard_rows(total, None) == range(total)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1-2", "1/", "1/11", "-1/2"])
def test_what_is_no_shard(shard):
    with pytest.raises(UserError, match="must be i/n"):
        shard_rows(10, shard)


@pytest.fixture
def write(tmp_path):
    """A function that writes a shard's file: rows first .. last-1 of 10, with value = row."""

    def write(name: str, first: int, last: int, **about):
        path = tmp_path / f"{name}.safetensors"
        meta = {"seed": 0} | about_rows(range(first, last), 10) | about
        tensors = {"x": torch.arange(first, last)[:, None].repeat(1, 3), "t": torch.arange(first, last).double()}
        save_file(tensors, path, metadata={"imdm": json.dumps(meta, sort_keys=True)})
        return path

    return write


def test_merged_in_any_order_the_bytes_are_those_of_one_file(write, tmp_path):
    parts = [write("b", 4, 7), write("c", 7, 10), write("a", 0, 4)]
    assert merge_shards(parts, tmp_path / "merged") == 10
    assert (tmp_path / "merged").read_bytes() == write("whole", 0, 10).read_bytes()


def test_incomplete_or_foreign_shards_are_refused(write, tmp_path):
    first, second, third = write("a", 0, 4), write("b", 4, 7), write("c", 7, 10)
    for parts, words in [
        ([first, third], "row 4 is due"),
        ([first, second, second], "row 7 is due"),
        ([second, third], "row 0 is due"),
        ([first, second], "rows 7 to 9 are missing"),
        ([first, second, write("d", 7, 10, seed=1)], "differs from .*a.safetensors in seed"),
        ([write("whole", 0, 10)], "is no shard"),
    ]:
        with pytest.raises(UserError, match=words):
            merge_shards(parts, tmp_path / "merged")
    (tmp_path / "cut.safetensors").write_bytes(first.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"cut.safetensors is truncated"):
        merge_shards([tmp_path / "cut.safetensors"], tmp_path / "merged")
    with pytest.raises(UserError, match="is a shard .rows 0 to 3 of 10."):
        load_rows(first, "rows", About)
    assert not (tmp_path / "merged").exists()


def test_one_job_and_three_make_the_same_couplings_and_samples(tmp_path):
    data = few_words(tmp_path).path
    model = made("pretrain", tmp_path / "teacher", "--data", data, "--variant", "imdm") / "model.safetensors"
    generators = {
        "couplings": ("couple", ["--data", data, "--teacher", model], ["couplings.batch_size=5"]),
        "samples": ("sample", ["--model", model], ["sampling.batch_size=7"]),
    }
    for name, (stage, arguments, sets) in generators.items():
        whole = made(stage, tmp_path / name, *arguments)
        shards = [made(stage, tmp_path / f"{name}{n}", *arguments, "--shard", f"{n}/3", sets=sets) for n in (1, 2, 3)]
        merged = made("merge", tmp_path / f"merged-{name}", "--parts", *(shard / f"{name}.safetensors" for shard in shards))
        assert (merged / f"{name}.safetensors").read_bytes() == (whole / f"{name}.safetensors").read_bytes()
    shard = tmp_path / "couplings1/couplings.safetensors"
    done = run("redi", "--couplings", shard, "--init", model, "--out", tmp_path / "student")
    assert done.returncode == 2 and "is a shard" in done.stderr

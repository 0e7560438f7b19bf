"""Every reader of a file that a user or another program may have written: a whole file, how it is read, and how it is damaged."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import judges
from corpora import random_corpus, tar_of
from fake_run import artifact, number
from fixtures import HELD_OUT, TRAINING
from fuzz.damage import damaged_bytes, damaged_json, damaged_tensors
from imdm.data import lm1b, openwebtext, text_files
from imdm.data.blocks import Dataset
from imdm.data.tokenizer import read_tokenizer
from imdm.distill.couplings import load_couplings, save_couplings
from imdm.network.checkpoint import load_network, save_network
from imdm.network.config import NetworkConfig
from imdm.network.ema import Ema
from imdm.params import Corpus, Couplings, load_params, resolved_yaml
from imdm.publish.card import history
from imdm.publish.public import load_public
from imdm.results.collect import audits
from imdm.results.draw import read_log
from imdm.results.frame import frame_of, read_frame, write_frame
from imdm.results.records import read_parquet, read_result, scored
from imdm.results.view import Cell, View, read_view, write_view
from imdm.sampling.files import SampleFile, load_samples, read_external, save_samples
from imdm.sampling.matching import read_target
from imdm.scoring.judge import load_judge
from imdm.scoring.reference import load_real, save_reference
from imdm.stage.artifact import verify, write_json
from imdm.stage.output import Output
from imdm.stage.shards import merge_shards
from networks import small_network
from script import MICRO

LENGTH, VOCABULARY = 8, 40
PAGES = {f"page{number}.txt": f"Page {number}.\n\nIts text.".encode() for number in range(40)}


@dataclass(frozen=True)
class Reader:
    """A kind of file.

    Attributes:
        make: writes a whole file into a folder.
        read: what the library makes of it; of two equal files the same.
        damage: changes its bytes.
        sealed: whether nothing can change unnoticed, since the file has a sum or its meta.json has one.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    damage: Callable[..., bytes] = damaged_bytes
    sealed: bool = False


@cache
def corpus() -> Dataset:
    return random_corpus(Path(tempfile.mkdtemp()) / "corpus", VOCABULARY, VOCABULARY - 1, LENGTH)


def config() -> NetworkConfig:
    return small_network(vocab_size=VOCABULARY, mask_id=VOCABULARY - 1, seq_len=LENGTH, tokenizer_sha256=corpus().tokenizer_sha256).config


def network():
    return small_network(**config().model_dump(include={"vocab_size", "mask_id", "seq_len", "tokenizer_sha256"}))


def dataset(folder: Path) -> Path:
    shutil.copytree(corpus().path.parent, folder, dirs_exist_ok=True)
    return folder / "dataset.json"


def whole(path: Path) -> Any:
    data = Dataset.open(path)
    return data.model_dump_json(exclude={"path"}), [data.split(name).tobytes() for name in data.splits], data.tokenizer().to_str()


def couplings(folder: Path) -> Path:
    draw, rows = np.random.default_rng(0), 12
    tensors = {"x": torch.from_numpy(draw.integers(0, VOCABULARY, (rows, LENGTH), np.int32)), "t": torch.rand(rows, dtype=torch.float64)}
    tensors |= {"masked": torch.from_numpy(draw.random((rows, LENGTH)) < 0.5), "seed": torch.arange(rows)}
    save_couplings(folder / "couplings.safetensors", tensors, config(), Couplings(pairs=rows, steps=4))
    return folder / "couplings.safetensors"


def read_couplings(path: Path) -> Any:
    found = load_couplings(path, config())
    assert found.x.min() >= 0 and found.x.max() < VOCABULARY and found.masked.dtype == torch.bool and found.t.isfinite().all()
    assert found.x.shape == found.masked.shape == (len(found.t), LENGTH) and len(found.seed) == len(found.t)
    return found.about, found.x.tolist(), found.masked.tolist(), found.t.tolist(), found.seed.tolist()


def shard(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for place, (first, last) in {"shard.safetensors": (0, 4), "other.safetensors": (4, 12)}.items():
        tensors = {"x": torch.zeros(last - first, LENGTH, dtype=torch.int32), "seed": torch.arange(first, last)}
        save_couplings(folder / place, tensors, config(), Couplings(pairs=12, steps=4), {"rows": [first, last, 12]})
    return folder / "shard.safetensors"


def merged(path: Path) -> Any:
    merge_shards([path, path.with_name("other.safetensors")], path.with_name("merged"))
    return path.with_name("merged").read_bytes()


def samples(folder: Path) -> Path:
    draw, rows, steps = np.random.default_rng(0), 6, [1, 4]
    columns = {name: {n: draw.integers(0, n, (rows, LENGTH), np.int32) for n in steps} for name in ("tokens", "unmasked_at")}
    about = {"task": "conditional", "model": "imdm/redi", "steps": steps, "temperature": {"1": 1.0, "4": 1.0}, "precision": "float32"}
    about |= {
        "conditional": {"prompts": 3, "completions": 2, "scored_tokens": 5},
        "matching": None,
        "tokenizer_sha256": corpus().tokenizer_sha256,
    }
    columns["calls"] = {n: np.full(rows, n, np.int32) for n in steps}
    save_samples(folder / "samples.safetensors", SampleFile(**columns, about=about))
    return folder / "samples.safetensors"


def read_samples(path: Path) -> Any:
    found = load_samples(path, corpus())
    for steps in found.about["steps"]:
        assert found.tokens[steps].min() >= 0 and found.tokens[steps].max() < VOCABULARY
        assert found.tokens[steps].shape == found.unmasked_at[steps].shape == (len(found.calls[steps]), LENGTH)
    return found.about, [value.tolist() for part in (found.tokens, found.unmasked_at, found.calls) for value in part.values()]


def checkpoint(folder: Path) -> Path:
    save_network(folder / "model.safetensors", network(), Ema(network(), 0.9))
    return folder / "model.safetensors"


def weights(found: torch.nn.Module) -> Any:
    assert all(value.isfinite().all() for value in found.state_dict().values())
    return {name: value.tolist() for name, value in found.state_dict().items()}


def torch_file(folder: Path) -> Path:
    tensors = {f"backbone.{name}": value for name, value in network().state_dict().items()}
    state = {"state_dict": tensors, "hyper_parameters": {"model": {"length": LENGTH, "n_heads": 2}}, "ema": {"shadow_params": []}}
    torch.save(state, folder / "public.ckpt")
    return folder / "public.ckpt"


def exported(folder: Path) -> Path:
    from imdm.publish.export import export_model

    export_model(checkpoint(folder), corpus(), folder)
    return folder / "config.json"


def judge(folder: Path) -> Path:
    return judges.make_judge(folder)


def judged(path: Path) -> Any:
    found = load_judge(path)
    assert all(value.isfinite().all() for value in found.model.parameters()) and found.max_length > 1 and found.end_id >= 0
    return found.describe(), found.held_out_perplexity


COMMON = {"judge": {"name": "judge", "precision": "float32", "sha256": "0"}, "settings": {"retokenize": False}}


def reference(folder: Path) -> Path:
    from imdm.scoring.gen_ppl import Judged
    from imdm.scoring.reference import RealText

    values = Judged(np.full(6, 20.0), np.full(6, 7), np.ones((6, 4), np.float32))
    text = RealText("test", np.arange(6 * LENGTH).reshape(6, LENGTH), values)
    save_reference(folder, None, COMMON, {"unconditional": text, "conditional": None}, 10, 0)
    return folder / "reference.json"


def scores(folder: Path) -> Path:
    rows = [number(metric, 3.0, steps=4) for metric in ("gen_ppl", "entropy")]
    tree = {"task": "unconditional", "model": "imdm/redi", "precision": "float32", "temperature": {"4": 1.0}, "conditional": None}
    tree |= {"judge": {"name": "judge", "precision": "float32", "held_out_perplexity": 20.5}, "matching": None, "rows": rows}
    write_json(folder / "scores.json", tree | {"metrics": {"gen_ppl": {"4": 30.0}, "entropy": {"4": 2.5}}})
    return folder / "scores.json"


def read_scores(path: Path) -> Any:
    from imdm.publish import card

    tree = read_result(path, "judge", "precision", "temperature", "conditional", "matching", "rows.steps")
    return card._table(card.read_scores(path)), read_target(path), scored("samples", "imdm/redi", tree)


def audit(folder: Path) -> Path:
    rows = [number(metric, 0.5, steps=4, model=name) for metric in ("nll_own", "copied_4") for name in ("mdlm/sdtt1", "teacher")]
    for model in ("teacher", "mdlm/sdtt1"):
        (folder / "audit" / model).mkdir(parents=True)
        write_json(folder / f"audit/{model}/audit.json", {"teacher": "teacher", "split": "test", "rows": rows})
    return folder / "audit/mdlm/sdtt1/audit.json"


def meta(folder: Path) -> Path:
    artifact(folder, "score", {"scores.json": {"a": 1}}, samples=3)
    return folder / "meta.json"


def view(folder: Path) -> Path:
    write_view(folder, View("table04", "Title", "Caption", ["model", "1"], [[[Cell("imdm"), Cell("3.1", 3.1, "win")]][0]]))
    return folder / "table04.json"


def table(folder: Path) -> Path:
    write_frame(folder / "tables.csv", frame_of([{"kind": "samples", "model": "imdm/redi", "steps": 4} | number("gen_ppl", 30.0)]))
    return folder / "tables.csv"


def log(folder: Path) -> Path:
    (folder / "train_log.csv").write_text("step,loss,lr,tokens_per_second,seconds\n1,3.2,0.1,100,1.0\n2,3.0,0.1,100,2.0\n")
    return folder / "train_log.csv"


def parquet(folder: Path) -> Path:
    import pandas as pd

    pd.DataFrame({"steps": [1, 1, 4], "sample": [0, 1, 0], "nll": [3.0, 2.0, 1.5], "text": ["a", "b", "c"]}).to_parquet(
        folder / "x.parquet"
    )
    return folder / "x.parquet"


def archive(kind: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        lines = {f"{TRAINING}{i:05d}-of-00004": b"".join(b"Sentence %d of shard %d .\n" % (k, i) for k in range(40)) for i in (1, 2, 3)}
        lines |= {f"{HELD_OUT}{i:05d}-of-00002": b"".join(b"Held out %d of %d .\n" % (k, i) for k in range(20)) for i in (0, 1)}
        (folder / f"lm1b.tar.{kind}").write_bytes(tar_of(lines, f"w:{kind}"))
        return folder / f"lm1b.tar.{kind}"

    return make


def sentences(path: Path) -> Any:
    return list(lm1b.documents(Corpus(name="lm1b", path=str(path))))


def headers(data: Any, content: bytes) -> bytes:
    """A plain tar damaged where it has sums: in a header or its end, or cut anywhere. Nothing guards what its files hold."""
    from hypothesis import strategies as st

    starts = [at for at in range(0, len(content), 512) if content[at + 257 : at + 262] == b"ustar"]
    if data.draw(st.booleans()):
        return content[: data.draw(st.integers(0, len(content) - 1))]
    at = 8 * (data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 344))) + data.draw(st.integers(0, 7))
    return content[: at // 8] + bytes([content[at // 8] ^ 1 << at % 8]) + content[at // 8 + 1 :]


def nested(folder: Path) -> Path:
    (folder / "pages.tar").write_bytes(tar_of({"urlsf_subset01.xz": tar_of(PAGES, "w:xz")}, "w:xz"))
    return folder / "pages.tar"


def records(folder: Path) -> Path:
    (folder / "text.jsonl").write_text("".join(json.dumps({"text": f"Line {number}.", "id": number}) + "\n" for number in range(20)))
    return folder / "text.jsonl"


def packed_lines(folder: Path) -> Path:
    (folder / "text.txt.gz").write_bytes(gzip.compress(b"".join(b"A line, number %d.\n\n" % number for number in range(200))))
    return folder / "text.txt.gz"


def pages(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": [page.decode() for page in PAGES.values()]}), folder / "pages.parquet", write_page_checksum=True)
    return folder / "pages.parquet"


def parameters(folder: Path) -> Path:
    shutil.copy(MICRO, folder / "params.yaml")
    return folder / "params.yaml"


def read_parameters(path: Path) -> Any:
    text = resolved_yaml(load_params(path))
    path.with_name("again.yaml").write_text(text, encoding="utf-8")
    assert resolved_yaml(load_params(path.with_name("again.yaml"))) == text
    return text


def read_quietly(path: Path) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return weights(load_public(str(path), data=corpus()).network())


def tokens(folder: Path) -> Path:
    shutil.copy(corpus().path.with_name("tokenizer.json"), folder)
    return folder / "tokenizer.json"


def external(suffix: str) -> Any:
    def write(folder: Path) -> Path:
        ids = np.ones((4, corpus().seq_len), np.int32)
        np.save(folder / "a.npy", ids) if suffix == "npy" else np.savez(folder / "a.npz", ids)
        return folder / f"a.{suffix}"

    return write


def sealed(folder: Path) -> Path:
    artifact(folder, "score", {"scores.json": {"a": [1, 2, 3]}}, samples=3)
    return folder / "scores.json"


def output(folder: Path) -> Path:
    artifact(folder / "out", "sample", {"samples.json": [1, 2, 3]})
    return folder / "out/meta.json"


def mark(folder: Path) -> Path:
    begun(folder / "out")
    return folder / "out.partial/.fingerprint"


def begun(out: Path) -> tuple[bool, list[str]]:
    """What a stage finds where it writes; it stops before it has written."""
    with contextlib.suppress(KeyboardInterrupt), Output(out, "sample", "fingerprint", "code") as place:
        raise KeyboardInterrupt
    return place.made(), place.older_code


READERS = {
    "parameters": Reader(parameters, read_parameters),
    "dataset.json": Reader(dataset, whole, damaged_json),
    "blocks": Reader(
        lambda folder: dataset(folder).with_name("train.bin"), lambda path: whole(path.with_name("dataset.json")), sealed=True
    ),
    "tokenizer.json": Reader(tokens, lambda path: read_tokenizer(path).to_str(), damaged_json),
    "couplings": Reader(couplings, read_couplings, damaged_tensors),
    "shards": Reader(shard, merged, damaged_tensors),
    "samples": Reader(samples, read_samples, damaged_tensors),
    "external.npy": Reader(external("npy"), lambda path: read_external(path, corpus(), 4).tolist()),
    "external.npz": Reader(external("npz"), lambda path: read_external(path, corpus(), 4).tolist()),
    "checkpoint": Reader(checkpoint, lambda path: weights(load_network(path)), damaged_tensors),
    "public checkpoint": Reader(torch_file, read_quietly, sealed=True),
    "exported config.json": Reader(exported, lambda path: read_quietly(path.parent), damaged_json),
    "judge.json": Reader(judge, judged, damaged_json),
    "judge's config.json": Reader(
        lambda folder: judge(folder).with_name("config.json"), lambda p: judged(p.with_name("judge.json")), damaged_json
    ),
    "judge's weights": Reader(
        lambda f: judge(f).with_name("model.safetensors"), lambda p: judged(p.with_name("judge.json")), damaged_tensors
    ),
    "reference.json": Reader(reference, lambda path: [part.tolist() for part in load_real(path, COMMON, None)], damaged_json),
    "reference.safetensors": Reader(
        lambda folder: reference(folder).with_suffix(".safetensors"),
        lambda path: [part.tolist() for part in load_real(path.with_suffix(".json"), COMMON, None)],
        damaged_tensors,
    ),
    "scores.json": Reader(scores, read_scores, damaged_json),
    "audit.json": Reader(
        audit, lambda path: audits(path.parents[3], load_params(MICRO, ["compare={variants: [mdlm], recipes: [sdtt1]}"])), damaged_json
    ),
    "meta.json": Reader(meta, lambda path: (verify(path.with_name("scores.json")), history(path.with_name("scores.json"))), damaged_json),
    "meta.json where a stage writes": Reader(output, lambda path: begun(path.parent), damaged_json),
    ".fingerprint of a work folder": Reader(mark, lambda path: begun(path.parents[1] / "out"), damaged_json),
    "anything with a meta.json": Reader(sealed, lambda path: (verify(path), path.read_bytes()), sealed=True),
    "table.json": Reader(view, read_view, damaged_json),
    "tables.csv": Reader(table, lambda path: read_frame(path).to_csv()),
    "train_log.csv": Reader(log, lambda path: read_log(path).to_csv()),
    "per_sample.parquet": Reader(parquet, lambda path: read_parquet(path, ["steps", "sample", "nll"]).to_csv()),
    "tar": Reader(archive(""), sentences, headers, sealed=True),
    "tar.gz": Reader(archive("gz"), sentences, sealed=True),
    "tar.xz": Reader(archive("xz"), sentences, sealed=True),
    "tar of tars": Reader(nested, lambda path: list(openwebtext._local(str(path), "text")), sealed=True),
    "text.jsonl": Reader(records, lambda path: list(text_files.documents(Corpus(name="files", path=str(path)))), damaged_bytes),
    "text.txt.gz": Reader(packed_lines, lambda path: list(text_files.documents(Corpus(name="files", path=str(path)))), sealed=True),
    "pages.parquet": Reader(pages, lambda path: list(openwebtext._local(str(path), "text"))),
}

"""Files of samples: those that the stages sample, complete and match_entropy write, and what another system wrote.

The latter, for the same corpus, as token ids or text, is checked and brought into the form of a model's samples.
"""

from __future__ import annotations

import glob
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from imdm.data.blocks import Dataset
from imdm.data.packing import Packer, pack
from imdm.data.text_files import documents
from imdm.data.tokenizer import as_text
from imdm.errors import UserError
from imdm.files import read_tensors, require_array, require_regular, said
from imdm.params import EXTERNAL, Corpus
from imdm.stage.artifact import Positive, Prompts
from imdm.stage.shards import About, load_rows, save_rows

_NAMES = ("tokens", "unmasked_at", "calls")
IDS, TEXTS = (".npy", ".npz", ".safetensors"), (".txt", ".jsonl")  # of another system


@dataclass
class SampleFile:
    """Samples of one model, by number of steps.

    Attributes:
        tokens, unmasked_at: int32 [n, L].
        calls: int32 [n].
        about: task (unconditional, conditional or matched), model, steps, temperature by step count (a string, as in
            JSON), precision, draws, tokenizer_sha256, seed; conditional: settings of the prompts, and
            matching: how the temperatures were found, each None where it does not apply.
    """

    tokens: dict[int, np.ndarray]
    unmasked_at: dict[int, np.ndarray]
    calls: dict[int, np.ndarray]
    about: dict


class AboutSamples(About):
    """What a file of samples says of them."""

    task: str
    model: str
    tokenizer_sha256: str
    steps: Annotated[list[Positive], Field(min_length=1)]
    temperature: dict[str, float]
    precision: str
    conditional: Prompts | None
    matching: dict[str, Any] | None


def save_samples(path: str | Path, samples: SampleFile) -> None:
    """Write samples; equal samples give equal bytes."""
    tensors = {f"{steps}.{name}": getattr(samples, name)[steps] for steps in samples.about["steps"] for name in _NAMES}
    save_rows(path, tensors, samples.about)


def load_samples(path: str | Path, data: Dataset) -> SampleFile:
    """Read samples. Raises UserError: truncated, foreign, a shard, or made for another vocabulary or length than `data`'s."""
    tensors, about = load_rows(path, "samples", AboutSamples)
    if about["tokenizer_sha256"] != data.tokenizer_sha256:
        raise UserError(f"{path} was made with another vocabulary than {data.path}; sample a model of this corpus.")
    first = require_array(path, tensors, f"{about['steps'][0]}.tokens", "int32", (None, None))
    rows, length = first.shape
    if length != data.seq_len:
        raise UserError(
            f"{path} holds samples of {length} tokens, {data.path} has blocks of {data.seq_len}; sample a model of this corpus."
        )
    for steps in about["steps"]:
        require_array(path, tensors, f"{steps}.tokens", "int32", (rows, length), 0, data.vocab_size - 1)
        require_array(path, tensors, f"{steps}.unmasked_at", "int32", (rows, length), -1, steps)
        require_array(path, tensors, f"{steps}.calls", "int32", (rows,), 0, steps)
    if rows % (about["conditional"] or {}).get("completions", 1):
        raise UserError(f"{path} has {rows} rows, not as many completions of each prompt; make it again.")
    parts = {name: {steps: tensors[f"{steps}.{name}"] for steps in about["steps"]} for name in _NAMES}
    return SampleFile(**parts, about=about)


def read_external(path: str | Path, data: Dataset, count: int) -> np.ndarray:
    """The first `count` samples of a file, token ids of the corpus's tokenizer, int32 [count, L].

    Args:
        path: .npy, .npz or .safetensors with one array of ids [n, L]; or text, a document a line of .txt, or `text` of each record of
            .jsonl, which is packed into blocks as the corpus is.
        count: as many as a model has, since most metrics depend on it.

    Raises:
        UserError: the file is of none of these kinds, damaged or empty; the ids are no such array, of another length or beyond the
            vocabulary, or the mask; or there are too few.
    """
    path = Path(path).expanduser()
    if path.suffix not in (*IDS, *TEXTS):
        raise UserError(f"{path} is none of {', '.join((*IDS, *TEXTS))}; write the samples as one of these.")
    require_regular(path, "correct external.NAME.samples")
    tokens = _ids(path, data) if path.suffix in IDS else _packed(path, data)
    if len(tokens) < count:
        raise UserError(f"{path} has {len(tokens)} samples of {data.seq_len} tokens; give {count}, or set sampling.count to what it has.")
    return tokens[:count].astype(np.int32)


def _ids(path: Path, data: Dataset) -> np.ndarray:
    arrays = _arrays(path)
    if len(arrays) != 1:
        raise UserError(f"{path} has {len(arrays)} arrays ({said(', '.join(arrays))}); write the token ids alone.")
    (ids,) = arrays.values()
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or not ids.size:
        raise UserError(f"{path} holds {ids.dtype} of shape {ids.shape}, not token ids [samples, {data.seq_len}]; write integers.")
    if ids.shape[1] != data.seq_len:
        wanted = f"{data.path} has blocks of {data.seq_len}, BOS and EOS in it"
        raise UserError(f"{path} has samples of {ids.shape[1]} tokens, but {wanted}; write as many.")
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= data.vocab_size:
        wrong = low if low < 0 else high
        raise UserError(f"{path} has the token id {wrong}, but {data.path} knows 0 to {data.vocab_size - 1}; use the corpus's tokenizer.")
    if (ids == data.mask_id).any():
        raise UserError(f"{path} has the mask (id {data.mask_id}) in it; let the sampler write all of its tokens.")
    return ids


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".safetensors":
        return read_tensors(path, "write it again")[0]
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {path.name: loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except Exception as error:  # numpy and zipfile raise all kinds for what they can't read
        raise UserError(f"{path} is truncated or no array of numpy ({said(error)}); write it again.") from None


def _packed(path: Path, data: Dataset) -> np.ndarray:
    """The blocks of a text file's documents, as the corpus's own are packed, [n, L]."""
    texts = documents(Corpus(name="files", path=glob.escape(str(path)), documents="line"))
    with tempfile.TemporaryDirectory() as folder:
        packer = Packer(Path(folder) / "blocks.bin", data.seq_len, data.eos_id, data.packing)
        for _ in pack(((text, "all") for text in texts), as_text(data.tokenizer()), {"all": packer}):
            pass
        return np.fromfile(packer.path, "<u2").reshape(-1, data.seq_len)


def sample_file(tokens: np.ndarray, name: str, steps: int, data: Dataset, source: str) -> SampleFile:
    """Samples [n, L] as those of a model; in which step a token came, and how often a network was called, is not known."""
    about: dict[str, Any] = {"task": EXTERNAL, "model": f"{EXTERNAL}/{name}", "steps": [steps], "temperature": {}, "precision": ""}
    about |= {"conditional": None, "matching": None, "tokenizer_sha256": data.tokenizer_sha256, "source": source}
    return SampleFile({steps: tokens}, {steps: np.full_like(tokens, -1)}, {steps: np.zeros(len(tokens), np.int32)}, about)

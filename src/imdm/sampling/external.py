"""Samples that another system wrote for the same corpus, as token ids or text: checked, and brought into the form of a model's samples."""

from __future__ import annotations

import glob
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from imdm.data.blocks import Dataset
from imdm.data.packing import Packer, pack
from imdm.data.text_files import documents
from imdm.data.tokenizer import as_text
from imdm.errors import UserError
from imdm.files import read_tensors, require_regular, said
from imdm.params import Corpus
from imdm.sampling.files import SampleFile

IDS, TEXTS = (".npy", ".npz", ".safetensors"), (".txt", ".jsonl")
TASK = "external"


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
    about: dict[str, Any] = {
        "task": TASK,
        "model": name,
        "steps": [steps],
        "temperature": {},
        "precision": "",
        "conditional": None,
        "matching": None,
    }
    about |= {"tokenizer_sha256": data.tokenizer_sha256, "source": source}
    return SampleFile({steps: tokens}, {steps: np.full_like(tokens, -1)}, {steps: np.zeros(len(tokens), np.int32)}, about)

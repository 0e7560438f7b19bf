"""What an experiment starts from: corpus, network, teacher, public checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from imdm.params.base import Block, Fraction, LanguageSettings, Positive, PositiveFloat, Processes, Text, Weights

_CHECKPOINT = "ORG/NAME, ORG/NAME/FILE or either with @REVISION on the hub, or a local file or folder"


class Corpus(LanguageSettings):
    name: Literal["pydocs", "files", "hub", "lm1b", "openwebtext", "language"] = Field(
        "pydocs",
        description="pydocs: text that ships with Python; files: your own; hub: any data set of the hub; lm1b, openwebtext: the paper's; "
        "language: drawn from a language whose every probability is known",
    )
    path: Text | None = Field(
        None,
        description="files: glob of .txt, .txt.gz or .jsonl; hub: ORG/NAME, or a folder that `datasets` reads; lm1b: its tar, or the "
        "folder with its shards; openwebtext: its tar, or a glob of .parquet or .jsonl; null: from the hub (lm1b, openwebtext)",
    )
    documents: Literal["blank_line", "line"] = Field("blank_line", description="what one document is in a text file (files)")
    config: Text | None = Field(None, description="configuration of a data set that has several (hub)")
    split: Text = Field("train", description="its split, from which all of ours are made (hub)")
    revision: Text | None = Field(None, description="its branch, tag or commit; null: the newest (hub)")
    limit: Positive | None = Field(None, description="read its first so many documents; null: all (hub)")
    text_field: Text = Field("text", description="field of a .jsonl or .parquet record, or column of a data set, that holds the text")
    tokenizer: Text = Field(
        "trained",
        description="trained: a byte-level BPE on the training text; else a tokenizer's hub id (bert-base-uncased, gpt2), "
        "or a folder with tokenizer.json, vocab.txt (BERT), or vocab.json and merges.txt (GPT-2)",
    )
    vocab_size: Positive = Field(512, description="size of the trained BPE vocabulary, special tokens included")
    texts: Positive = Field(20_000, description="documents that are drawn (language)")
    packing: Literal["carry", "per_batch", "document"] = Field(
        "carry",
        description="carry: no token lost; per_batch: the rest of every 1,000 documents is dropped, as MDLM, Duo and IMDM do; "
        "document: a block is one document, cut or filled up with EOS",
    )
    seq_len: Annotated[int, Field(ge=4, le=65_536)] = Field(32, description="tokens per block, BOS and EOS included")
    judge_fraction: Fraction = Field(0.4, description="share of documents set apart for training the judge")
    valid_fraction: Fraction = Field(0.05, description="share of documents for validation (pydocs, files)")
    valid_documents: Positive = Field(100_000, description="the last so many documents are for validation (openwebtext)")
    test_fraction: Fraction = Field(0.05, description="share of documents for the reference text (lm1b, openwebtext: of the held-out ones)")
    workers: Processes = Field(1, description="processes that tokenize, and threads that train a tokenizer; no effect on the result")

    @property
    def folder(self) -> str:
        """Below data/, what says how it was packed."""
        return f"{self.name}-{self.packing}-{self.seq_len}"

    @model_validator(mode="after")
    def _path(self) -> Corpus:
        if self.name == "files" and not self.path:
            raise ValueError("path must be a glob where corpus.name is files")
        if self.name == "hub" and not self.path:
            raise ValueError("path must be ORG/NAME where corpus.name is hub")
        if (self.name == "language") != (self.language is not None):
            raise ValueError("language must be given where corpus.name is language, and nowhere else")
        if self.name == "language" and self.packing != "document":
            raise ValueError("packing must be document where corpus.name is language, whose blocks are its texts")
        return self


class Network(Block):
    hidden_size: Positive = Field(768, description="d, width of the residual stream")
    blocks: Positive = Field(12, description="transformer blocks")
    heads: Positive = Field(12, description="attention heads")
    cond_dim: Positive = Field(128, description="width of the time conditioning, a constant in all the paper's models")
    dropout: Fraction = Field(0.1, description="dropout on the two branches of a block")
    learned_positions: bool = Field(False, description="add a learned position embedding to the rotary one")
    softcap: PositiveFloat | None = Field(None, description="soft cap on attention logits (authors' LM1B runs: 50)")
    init_std: PositiveFloat | None = Field(None, description="N(0, std) for attention and MLP weights; null: torch's default")


class Teacher(Block):
    stage: Literal["pretrain", "load_mdlm"] = Field("pretrain", description="trained here, or a public checkpoint")
    checkpoint: Text | None = Field(None, description=f"what load_mdlm loads: {_CHECKPOINT}")
    weights: Weights = Field("ema", description="which weights of a checkpoint that holds both")

    @model_validator(mode="after")
    def _checkpoint(self) -> Teacher:
        if self.stage == "load_mdlm" and not self.checkpoint:
            raise ValueError("checkpoint must be given where teacher.stage is load_mdlm")
        return self


class ExternalSamples(Block):
    """What another system wrote for the same corpus."""

    samples: Text = Field(
        description="file of token ids [samples, corpus.seq_len] (.npy, .npz, .safetensors), or of text: a document a line (.txt) or "
        "`text` of each record (.jsonl)"
    )
    steps: Positive = Field(description="sampling steps that they were written in; of an autoregressive model, as many as tokens")


class PublicCheckpoint(Block):
    checkpoint: Text = Field(description=_CHECKPOINT)
    weights: Weights = Field("ema", description="which weights of a checkpoint that holds both")

    @property
    def missing(self) -> bool:
        """Whether it names a file of this machine that is not there; ORG/NAME and ORG/NAME/FILE may be on the hub."""
        path = Path(self.checkpoint).expanduser()
        local = self.checkpoint.startswith(("/", ".", "~")) or (path.suffix in (".ckpt", ".safetensors", ".pt") and len(path.parts) < 3)
        return local and not path.exists()

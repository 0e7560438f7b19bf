"""Turn a corpus into packed blocks, with a byte-level BPE tokenizer trained on its training split.

Documents go to train, judge, valid or test by a hash of their text. Writes dataset.json, tokenizer.json and
train.bin, judge.bin, valid.bin, test.bin (little-endian uint16, seq_len tokens a block).

Example: python stages/tokenize_pack.py --out data/pydocs
Own text: python stages/tokenize_pack.py --set corpus.name=files --set 'corpus.path=texts/*.txt' --out data/files
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.errors import UserError
from imdm.job import Job, StageParser, run_stage


def arguments(parser: StageParser) -> None:
    pass  # the corpus is named by the parameters


def run(job: Job) -> None:
    from imdm.artifact import sha256, write_json
    from imdm.data.bpe import END, MASK, limit_threads, train_bpe
    from imdm.data.corpus import Tally, open_corpus
    from imdm.data.packing import Packer, pack
    from imdm.data.splits import SPLITS, Splitter

    corpus = job.params.corpus
    limit_threads(corpus.workers)
    split_of = Splitter(corpus, job.params.seeds.data)
    read, tally = open_corpus(corpus), Tally(corpus)

    train = (document for document in tally(read()) if split_of(document) == "train")
    tokenizer = train_bpe(train, corpus.vocab_size)
    vocab_size = tokenizer.get_vocab_size()
    if vocab_size < corpus.vocab_size:
        print(f"{job.stage}: the corpus gives {vocab_size} tokens, not the {corpus.vocab_size} of corpus.vocab_size.", file=sys.stderr)
    tokenizer.save(str(job.dir / "tokenizer.json"))

    end_id = tokenizer.token_to_id(END)
    packers = {name: Packer(job.dir / f"{name}.bin", corpus.seq_len, end_id) for name in SPLITS}
    with job.progress(tally.documents, "document") as bar:
        for count in pack(read(), tokenizer, split_of, packers):
            bar.update(count)
    splits = {name: packer.summary() for name, packer in packers.items()}
    for name, split in splits.items():
        wanted = name == "train" or getattr(corpus, f"{name}_fraction") > 0
        if wanted and not split["blocks"]:
            raise UserError(_too_small(corpus, name, split))

    tokens = sum(split["tokens"] + split["tail"] - split["documents"] for split in splits.values())  # but for the EOS of each document
    write_json(
        job.dir / "dataset.json",
        {
            "corpus": corpus.name,
            "seq_len": corpus.seq_len,
            "vocab_size": vocab_size,
            "mask_id": tokenizer.token_to_id(MASK),
            "bos_id": end_id,
            "eos_id": end_id,
            "tokenizer_sha256": sha256(job.dir / "tokenizer.json"),
            "splits": splits,
            "statistics": {**tally.summary(), "bytes_per_token": round(tally.bytes / tokens, 4)},
        },
    )
    blocks = {f"{name}_blocks": split["blocks"] for name, split in splits.items()}
    job.metrics |= tally.summary() | {"tokens": tokens, "vocab_size": vocab_size} | blocks


def _too_small(corpus, name: str, split: dict) -> str:
    source = f"files {corpus.path!r}" if corpus.name == "files" else corpus.name
    remedy = "add text" if name == "train" else f"add text, raise corpus.{name}_fraction"
    return (
        f"the {name} split of corpus {source} has {split['tail']} tokens, too few for one block of corpus.seq_len = {corpus.seq_len}; "
        f"{remedy} or lower corpus.seq_len."
    )


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, arguments, run))

"""Turn a corpus into packed blocks.

Documents go to train, judge, valid or test by a hash of their text; lm1b and openwebtext have their own validation documents.
The tokenizer is trained on the training split, or is a language's words, or BERT's or GPT-2's. Writes dataset.json, tokenizer.json and
train.bin, judge.bin, valid.bin, test.bin (little-endian uint16, seq_len tokens a block).

Example: python stages/tokenize_pack.py --out data/pydocs
Own text: python stages/tokenize_pack.py --set corpus.name=files --set 'corpus.path=texts/*.txt' --out data/files
"""

import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.stage.job import Job, StageParser, run_stage

READS = ("corpus", "seeds.data")


def arguments(parser: StageParser) -> None:
    pass  # the corpus is named by the parameters


def run(job: Job) -> None:
    from imdm.data.corpus import SPLITS, Splitter, open_corpus, too_small
    from imdm.data.packing import Packer, pack
    from imdm.data.tokenizer import end_and_mask, limit_threads, make_tokenizer
    from imdm.stage.artifact import sha256, write_json

    corpus = job.params.corpus
    limit_threads(corpus.workers)
    split_of = Splitter(corpus, job.params.seeds.data)
    texts = open_corpus(corpus, job.params.seeds.data)

    def documents():
        return ((text, split_of(text, held_out, number)) for number, (text, held_out) in enumerate(texts))

    tokenizer = make_tokenizer(corpus, (text for text, split in documents() if split == "train"))
    vocab_size = tokenizer.get_vocab_size()
    if corpus.name != "language" and corpus.tokenizer == "trained" and vocab_size < corpus.vocab_size:
        print(f"{job.stage}: the corpus gives {vocab_size} tokens, not the {corpus.vocab_size} of corpus.vocab_size.", file=sys.stderr)
    tokenizer.save(str(job.dir / "tokenizer.json"))

    end_id, mask_id = end_and_mask(tokenizer)
    packers = {name: Packer(job.dir / f"{name}.bin", corpus.seq_len, end_id, corpus.packing) for name in SPLITS}
    with job.progress(texts.count, "document") as bar:
        for count in pack(documents(), tokenizer, packers, workers=corpus.workers):
            bar.update(count)
    splits = {name: packer.summary() for name, packer in packers.items()}
    for name in SPLITS:
        if name in split_of.used and not splits[name]["blocks"]:
            raise too_small(corpus, name, splits[name]["dropped"])

    tokens = sum(packer.text_tokens for packer in packers.values())
    write_json(
        job.dir / "dataset.json",
        {
            "corpus": corpus.name,
            "seq_len": corpus.seq_len,
            "packing": corpus.packing,
            "vocab_size": vocab_size,
            "mask_id": mask_id,
            "bos_id": end_id,
            "eos_id": end_id,
            "tokenizer_kind": type(tokenizer.model).__name__,
            "tokenizer_source": corpus.tokenizer,
            "tokenizer_sha256": sha256(job.dir / "tokenizer.json"),
            "splits": splits,
            "statistics": texts.summary | {"bytes_per_token": round(texts.summary["bytes"] / tokens, 4)},
        },
    )
    blocks = {f"{name}_blocks": split["blocks"] for name, split in splits.items()}
    job.metrics |= texts.summary | {"tokens": tokens, "vocab_size": vocab_size} | blocks


if __name__ == "__main__":
    sys.exit(run_stage(__file__, __doc__, READS, arguments, run))

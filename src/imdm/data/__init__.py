"""From text to packed blocks: corpora, document split, tokenizer, packing, reading.

`pydocs` and `text_files` yield documents, `splits` says which part each belongs to, `bpe` trains the
tokenizer on the training part, `packing` writes blocks and `blocks` reads them.
"""

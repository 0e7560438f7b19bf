"""From text to packed blocks: corpora, document split, tokenizer, packing, reading.

`corpus` opens what the parameters name (`pydocs`, `text_files`, `lm1b`, `openwebtext`; the latter two are `published`), `splits` says
which part a document belongs to, `tokenizer` loads or trains the vocabulary, `packing` writes blocks, `blocks` reads
them and `speller` turns tokens into text again.
"""

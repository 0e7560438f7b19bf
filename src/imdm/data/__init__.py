"""From text to packed blocks: corpora, document split, tokenizer, packing, reading.

`corpus` opens what the parameters name (`pydocs`, `text_files`, `lm1b`, `openwebtext`; local archives or the `hub`), `splits`
says which part a document belongs to, `tokenizer` loads or trains (`bpe`) the vocabulary, `packing` writes blocks, `blocks` reads them
and `speller` turns tokens into text again.
"""

"""From text to packed blocks: corpora, document split, tokenizer, packing, reading.

`corpus` opens what the parameters name (`pydocs`, `text_files`, `hub`, `lm1b`, `openwebtext`) and says which split a document belongs
to, `tokenizer` loads or trains the vocabulary, `packing` writes blocks, `blocks` reads them and `speller` turns tokens into text again.
"""

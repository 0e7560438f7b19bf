"""Few-step discrete-diffusion language models: masks, distillation, exact sampling, scoring.

Layers, each importing only from those above it:

    errors, params, artifact, job     bad input, the experiment's parameters, atomic outputs, the stage harness
    data                              text to packed blocks
    diffusion                         mask states as integers, noise from keys, schedule, posterior, NELBO
    models                            the network, its mask embeddings, EMA, checkpoints
    sampling                          the exact N-step sampler
    distill                           SDTT, couplings, ReDi
    training                          the training loop with exact resume
    scoring                           Gen-PPL, entropy, MAUVE, intervals
    synthetic                         the {00, 11} task of the paper's Tables 1 and 2, the dictionary task, the Markov chain
    factorization                     the error of Eq. 6, exact for words and estimated on text
    report                            tables, figures, report.html
"""

"""Few-step discrete-diffusion language models: masks, distillation, exact sampling, scoring. docs/architecture.md draws the packages."""

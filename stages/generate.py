"""Let a model write in the terminal: from nothing, from the beginning of a text, or in the gaps of one. Writes no files.

A gap is a run of three underscores or more and has as many tokens as underscores. With --live the tokens appear as the
sampler unmasks them; where the output is no terminal, only the final text is printed. The same arguments give the same
text, and sample i is the same whatever --count is.

Example: python stages/generate.py --model results/tiny/models/imdm/redi/model.safetensors
    --data data/pydocs-carry-32/dataset.json --infill "Return the _____ of the list." --steps 4 --live
"""

import argparse
import math
import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.errors import UserError, exit_code


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="stages/generate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="model.safetensors of any stage, an exported folder, or ORG/NAME of the hub")
    parser.add_argument("--data", required=True, help="dataset.json of the corpus that it was trained on, for the tokenizer")
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--prompt", default="", metavar="TEXT", help="beginning of the text")
    text.add_argument("--infill", metavar="TEXT", help='text with gaps, for example "Return the _____ of the list."')
    parser.add_argument("--steps", type=int, default=16, metavar="N", help="sampling steps (default: 16)")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="number of samples (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of all draws (default: 0)")
    parser.add_argument("--temperature", type=float, default=1.0, metavar="T", help="of the token draw (default: 1)")
    parser.add_argument("--live", action="store_true", help="show how the text comes about")
    args = parser.parse_args(argv)
    return exit_code("generate", lambda: generate(args))


def generate(args: argparse.Namespace) -> None:
    """Sample and print."""
    from rich.console import Console

    from imdm.data.blocks import Dataset
    from imdm.data.speller import Speller
    from imdm.diffusion.counter import row_seeds
    from imdm.params import Runtime
    from imdm.publish.public import load_public
    from imdm.sampling.live import show
    from imdm.sampling.prompts import text_block
    from imdm.sampling.sampler import sample
    from imdm.stage.device import prepare_frozen

    if not (0 < args.steps < 2**31 and 0 < args.count <= 1000 and 0 < args.temperature < math.inf and 0 <= args.seed < 2**31):
        raise UserError("--steps must be positive, --count 1 to 1000, --temperature positive and finite, and --seed from 0 to 2^31 - 1.")
    data = Dataset.open(args.data)
    block = text_block(data, args.prompt if args.infill is None else args.infill, gaps=args.infill is not None)
    network = prepare_frozen(load_public(args.model, data=data).network(), Runtime(compile=False))
    seeds = row_seeds(args.seed, 0, args.count, network.vocab_embed.embedding.device)
    drawn = sample(network, seeds, args.steps, visible=block.visible(args.count, seeds.device), temperature=args.temperature)
    console, speller = Console(), Speller.of(data)
    for number in range(args.count):
        if args.count > 1:
            print(f"--- {number + 1} of {args.count}", flush=True)
        tokens, at = (rows[number, block.shown].tolist() for rows in (drawn.tokens, drawn.unmasked_at))
        show(console, speller.pieces(tokens, at), args.live)


if __name__ == "__main__":
    sys.exit(main())

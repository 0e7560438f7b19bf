"""Let a model write in the terminal: from nothing, on from the beginning of a text, or in the gaps of one. Writes no files.

A gap is a run of three underscores or more and has as many tokens as underscores. Without --prompt, on a terminal, the model stays
loaded and answers every line that you type. With --live the tokens appear as the sampler unmasks them; where the output is no
terminal, only the final text is printed. The same arguments give the same text, and sample i is the same whatever --count is.

Examples: imdm write --model results/tiny/models/imdm/redi --live
          imdm write --model results/tiny/models/imdm/redi --prompt "Return the _____ of the list." --steps 4
"""

import argparse
import sys

import _src  # noqa: F401, I001  (first: this checkout's library)
from imdm.errors import exit_code


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="stages/generate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = "model.safetensors of any stage or its folder, an exported folder, or ORG/NAME of the hub"
    parser.add_argument("--model", required=True, help=model)
    data = "dataset.json of the corpus that it was trained on (default: the exported folder's, or the one of the model's run)"
    parser.add_argument("--data", help=data)
    parser.add_argument("--prompt", metavar="TEXT", help='beginning of a text, or one with gaps: "Return the _____ of the list."')
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

    from imdm.play.terminal import Settings, answer, converse
    from imdm.play.writer import Writer

    console, settings = Console(), Settings(args.steps, args.seed, args.temperature, args.count, args.live)
    writer = Writer.open(args.model, args.data)
    if args.prompt is None and console.is_terminal and sys.stdin.isatty():
        converse(writer, console, settings)
    else:
        answer(writer, console, args.prompt or "", settings)


if __name__ == "__main__":
    sys.exit(main())

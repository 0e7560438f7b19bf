"""A page on this machine where a person types, and two models write side by side.

Example: imdm play results/tiny
         imdm play results/reference/NAME
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, Field, ValidationError

from imdm.data.blocks import Dataset
from imdm.data.speller import BREAK
from imdm.errors import UserError, exit_code
from imdm.files import STRICT, fault, parse_json
from imdm.params import Scoring, load_params
from imdm.play.writer import Writer, models_in
from imdm.results.names import name_of
from imdm.results.pages import fill
from imdm.scoring.exact import ExactJudge
from imdm.scoring.gen_ppl import gen_ppl
from imdm.scoring.judge import Judge, load_judge
from imdm.scoring.metrics import judge_samples

HOST, PORT = "127.0.0.1", 8321
_LONGEST = 1 << 17  # bytes of a request
_STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'"


class Request(BaseModel):
    """What the page asks for; further bounds are those of `Writer.write`."""

    model_config = STRICT

    model: str
    text: Annotated[str, Field(max_length=20_000)] = ""
    steps: int
    seed: int = 0
    temperature: float = 1.0


@dataclass(frozen=True)
class PlaceJudge:
    """The judge of a run, and how it reads a text there."""

    judge: Judge | ExactJudge
    settings: Scoring

    @classmethod
    def of(cls, place: Path) -> PlaceJudge | None:
        """That of PLACE/judge/judge.json; None where there is none. Raises UserError: as `load_judge`."""
        file, params = place / "judge/judge.json", place / "params.yaml"
        if not file.is_file():
            return None
        judge = load_judge(file)
        own = isinstance(judge, ExactJudge) or judge.trained  # reads the samples' ids
        return cls(judge, load_params(params).scoring if params.is_file() else Scoring(retokenize=not own))

    def gen_ppl(self, tokens: np.ndarray, data: Dataset) -> float | None:
        """Perplexity of a text, its block's first token in front, int64 [n]; None where the judge counts no token of it.

        Raises:
            UserError: the judge is of another vocabulary.
        """
        self.judge.check_vocabulary(data, self.settings.retokenize)
        with torch.inference_mode():
            judged = judge_samples(self.judge, tokens[None], data.tokenizer(), self.settings)
        return gen_ppl(judged.nll, judged.tokens) if judged.tokens[0] else None


class Models:
    """Models by name, each loaded when it is first asked for. One writes at a time."""

    def __init__(self, places: list[Path]):
        """Find models and judges. Raises UserError: a place holds none, two models have one name, or a judge is damaged."""
        self.folders: dict[str, Path] = {}
        self.judges: dict[str, PlaceJudge | None] = {}
        self.writer = functools.cache(Writer.open)
        self.lock = threading.Lock()
        for place in places:
            judge, prefix = PlaceJudge.of(place), f"{place.resolve().name}: " if len(places) > 1 else ""
            for name, folder in models_in(place).items():
                if prefix + name in self.folders:
                    raise UserError(f"two of the folders hold a model called {prefix}{name}; name each folder once.")
                self.folders[prefix + name], self.judges[prefix + name] = folder, judge

    def page(self) -> str:
        """The page, with the first and the last model chosen."""
        names = list(self.folders)
        labels = {name: name if ": " in name else name_of(name) for name in names}
        return fill("play.html.j2", models=labels, sides=(names[0], names[-1]), steps=_STEPS, mark=BREAK)

    def answer(self, request: Request) -> dict[str, Any]:
        """pieces ([text, step], -1 for what was given), steps, calls, seconds, and gen_ppl, None without a judge.

        Raises:
            UserError: there is no such model, or as `Writer.write`, `Writer.open` and `PlaceJudge.gen_ppl`.
        """
        if request.model not in self.folders:
            raise UserError(f"there is no model {request.model!r}; reload the page.")
        with self.lock:
            writer, judge = self.writer(str(self.folders[request.model])), self.judges[request.model]
            start = time.perf_counter()
            written = writer.write(request.text, request.steps, request.seed, request.temperature)[0]
            seconds = time.perf_counter() - start
            value = judge and judge.gen_ppl(written.tokens, writer.data)
        return {"pieces": written.pieces, "steps": request.steps, "calls": written.calls, "seconds": seconds, "gen_ppl": value}


class Handler(BaseHTTPRequestHandler):
    """GET / is the page, POST /write an answer of `Models`; a mistake is {"error": a sentence}."""

    models: Models
    server_version, sys_version = "imdm", ""

    def do_GET(self) -> None:
        if not self._local():
            return
        if self.path == "/":
            self._send(HTTPStatus.OK, self.models.page().encode(), "text/html; charset=utf-8")
        else:
            self._say(HTTPStatus.NOT_FOUND, {"error": "there is nothing here; the page is /."})

    def do_POST(self) -> None:
        if not self._local():
            return
        try:
            if self.path != "/write" or self.headers.get_content_type() != "application/json":  # no form of another site sends this type
                raise UserError("post JSON to /write.")
            size = self.headers.get("Content-Length", "")
            if not size.isdecimal() or int(size) > _LONGEST:
                raise UserError(f"a request has at most {_LONGEST} bytes, and says how many.")
            request = Request.model_validate(parse_json(self.rfile.read(int(size)).decode()))
            self._say(HTTPStatus.OK, self.models.answer(request))
        except ValidationError as error:
            self._say(HTTPStatus.BAD_REQUEST, {"error": f"the request is wrong ({fault(error)})."})
        except UserError as error:
            self._say(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except ValueError:  # no JSON, or no UTF-8
            self._say(HTTPStatus.BAD_REQUEST, {"error": "the request is no JSON."})

    def _local(self) -> bool:
        """Whether the browser was told this machine's own name: a page elsewhere whose name leads here must read nothing."""
        if self.headers.get("Host", "").rpartition(":")[0] in (HOST, "localhost"):
            return True
        self._say(HTTPStatus.FORBIDDEN, {"error": f"open the page as http://{HOST}."})
        return False

    def _say(self, status: HTTPStatus, value: dict[str, Any]) -> None:
        self._send(status, json.dumps(value, allow_nan=False).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "X-Content-Type-Options": "nosniff"}
        for name, value in (headers | {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal is the user's."""


def serve(models: Models, port: int) -> ThreadingHTTPServer:
    """A server that is bound to this machine alone, at a free port where `port` is 0. Raises UserError: the port is taken."""
    try:
        return ThreadingHTTPServer((HOST, port), type("PlayHandler", (Handler,), {"models": models}))
    except (OSError, OverflowError) as error:
        raise UserError(f"port {port} can't be used ({getattr(error, 'strerror', None) or error}); name another with --port.") from None


def main(argv: list[str] | None = None) -> int:
    """Serve the page until Ctrl-C; 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="imdm play", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", type=Path, nargs="+", metavar="FOLDER", help="results/RUN, kept models of a run, or an exported model")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"of the page (default: {PORT}; 0: a free one)")
    args = parser.parse_args(argv)

    def work() -> None:
        models = Models(args.places)
        with serve(models, args.port) as server, contextlib.suppress(KeyboardInterrupt):
            print(f"{len(models.folders)} models write at http://{HOST}:{server.server_port} (Ctrl-C ends)", flush=True)
            server.serve_forever()
        print()

    return exit_code("play", work)

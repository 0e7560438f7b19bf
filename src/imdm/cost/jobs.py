"""The jobs behind `snakemake all` and `snakemake paper`, and what each waits for.

The Snakefile holds the same graph as rules; tests/params/test_presets.py compares the two job by job.
"""

from __future__ import annotations

from dataclasses import dataclass

from imdm.exhibits.plan import TEACHER, needs
from imdm.params import PUBLIC, Params, parse_recipe
from imdm.report.names import MAIN


@dataclass(frozen=True)
class Job:
    """One run of a stage.

    Attributes:
        stage: name of the script.
        out: its output below data or results/RUN; names the job.
        waits: `out` of the jobs that must be done before.
        model: `teacher`, VARIANT/RECIPE or public/NAME, where the job is about one.
        shards: into how many jobs its work is divided, of which this is one.
    """

    stage: str
    out: str
    waits: tuple[str, ...] = ()
    model: str | None = None
    shards: int = 1


class Graph:
    """Collects jobs by demand; asking for one that is there already adds nothing. Methods return a job's `out`."""

    def __init__(self, params: Params):
        self.params = params
        self.jobs: dict[str, Job] = {}

    def _add(self, stage: str, out: str, *waits: str, model: str | None = None) -> str:
        self.jobs[out] = Job(stage, out, waits, model)
        return out

    def _sharded(self, stage: str, out: str, number: int, *waits: str, model: str) -> str:
        """One job, or several and one that merges what they make."""
        if number == 1:
            return self._add(stage, out, *waits, model=model)
        parts = [f"{out}-{index}-of-{number}" for index in range(1, number + 1)]
        self.jobs |= {part: Job(stage, part, waits, model, number) for part in parts}
        return self._add("merge", out, *parts, model=model)

    def data(self) -> str:
        return self._add("tokenize_pack", "data")

    def judge(self) -> str:
        return self._add(self.params.judge.stage, "judge", self.data())

    def reference(self) -> str:
        return self._add("reference", "reference", self.data(), self.judge())

    def model(self, name: str) -> str:
        """The job that makes a model, after those that make what it needs."""
        if name == TEACHER:
            return self._add(self.params.teacher.stage, TEACHER, self.data(), model=name)
        variant, _, recipe_name = name.partition("/")
        out = f"models/{name}"
        if variant == PUBLIC:
            return self._add("load_mdlm", out, self.data(), model=name)
        if recipe_name == TEACHER:
            return self._add("adopt", out, self.model(TEACHER), model=name)
        recipe = parse_recipe(recipe_name)
        if recipe.name == "scratch":
            return self._add("pretrain", out, self.data(), model=name)
        parent = f"{variant}/{recipe.parent}"
        if recipe.name == "finetune":
            return self._add("finetune", out, self.data(), self.model(parent), model=name)
        if recipe.redi:
            return self._add("redi", out, self.couplings(parent), self.model(parent), model=name)
        return self._add("keyed" if recipe.keyed else "di4c" if recipe.di4c else "sdtt", out, self.data(), self.model(parent), model=name)

    def couplings(self, teacher: str) -> str:
        """Of a student, or of the common teacher: a network just adopted from it computes the same."""
        teacher = TEACHER if teacher.endswith(f"/{TEACHER}") else teacher
        number = self.params.shards.couplings
        return self._sharded("couple", f"couplings/{teacher}", number, self.data(), self.model(teacher), model=teacher)

    def samples(self, model: str) -> str:
        return self._sharded("sample", f"samples/{model}", self.params.shards.samples, self.model(model), model=model)

    def completions(self, model: str) -> str:
        number = self.params.shards.samples
        return self._sharded("complete", f"conditional/samples/{model}", number, self.data(), self.model(model), model=model)

    def matched(self, model: str) -> str:
        target = self.scores(self.params.paper.sdtt)
        return self._add("match", f"matched/samples/{model}", self.model(model), target, model=model)

    def _score(self, samples: str, model: str) -> str:
        return self._add("score", samples.replace("samples/", "scores/"), self.data(), self.judge(), self.reference(), samples, model=model)

    def scores(self, model: str) -> str:
        return self._score(self.samples(model), model)

    def audit(self, model: str) -> str:
        """Of a rectified model beside the couplings that it was trained on, and the model that made them."""
        variant, _, name = model.partition("/")
        recipe = parse_recipe(name)
        waits = [self.data(), self.model(model), self.samples(model), self.samples(TEACHER)]
        if variant != PUBLIC and recipe and recipe.redi:
            waits.append(self.couplings(f"{variant}/{recipe.parent}"))
        return self._add("audit", f"audit/{model}", *waits, model=model)

    def frontier(self, model: str) -> str:
        return self._add("frontier", f"frontier/{model}", self.data(), self.judge(), self.model(model), model=model)

    def tables(self) -> str:
        scores = [self.scores(model) for model in self._main()]
        beside = [found for model in self._main() for found in (self.frontier(model), self.audit(model))]
        beside += [self.factorization(model) for model in (TEACHER, *map("/".join, self.params.factorized()))]
        alone = [self._add(name, name) for name in ("synthetic", "dictionary", "chain")]
        return self._add("tabulate", "tables", *scores, *beside, self.judge(), self.reference(), *alone)

    def factorization(self, model: str) -> str:
        waits = (self.data(), self.model(model), self.model(TEACHER))
        return self._add("factorization", f"factorization/{model}", *waits, model=model)

    def figures(self) -> str:
        return self._add("plot", "figures", self.tables())

    def report(self, out: str, *exhibits: str) -> str:
        samples = [self.samples(model) for model in self._main()]
        return self._add("report", out, self.data(), self.tables(), self.figures(), *samples, *exhibits)

    def exhibit(self, name: str) -> str:
        if name in MAIN:
            return self.tables() if name.startswith("table") else self.figures()
        need = needs(self.params, name)
        waits = [self.scores(model) for model in need.scores]
        waits += [self._score(self.completions(model), model) for model in need.conditional]
        waits += [self._score(self.matched(model), model) for model in need.matched]
        waits += [self.model(model) for model in need.validation]
        waits += [self.samples(model) for model in need.samples]
        waits += [self.completions(model) for model in need.completions]
        return self._add("exhibit", name, *waits, self.data(), self.judge())

    def _main(self) -> list[str]:
        return [TEACHER, *map("/".join, self.params.models())]


def jobs(params: Params, target: str) -> list[Job]:
    """Every job of a target of the Snakefile, in an order in which they can run.

    Args:
        target: `all` or `paper`.
    """
    graph = Graph(params)
    if target == "all":
        graph.report("report.html")
    else:
        graph.report("paper.html", *map(graph.exhibit, params.paper.exhibits))
    return _ordered(graph.jobs)


def _ordered(found: dict[str, Job]) -> list[Job]:
    done: dict[str, Job] = {}

    def visit(job: Job) -> None:
        if job.out not in done:
            for name in job.waits:
                visit(found[name])
            done[job.out] = job

    for job in found.values():
        visit(job)
    return list(done.values())

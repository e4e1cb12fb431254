"""What is fixed of a run before its first round: its key, its manifest, its place in the index.

All of this happens in the process that plans. The processes that play are given a run's own key
and never the operator's.
"""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from agents.catalogue import AGENTS
from institutional.errors import InstitutionalError
from institutional.experiments.plan import Plan, Run
from institutional.ledger import index, keys, log, manifest
from institutional.ledger.log import Ledger
from institutional.ledger.note import SigningKey, VerifyKey

_PACKAGES = ("institutional", "numpy", "pettingzoo", "gymnasium", "pydantic", "rfc8785", "scipy")


class Seal(NamedTuple):
    """How one run is signed: its present key (None: erased), its first, and who vouches for it."""

    key: SigningKey | None
    first: VerifyKey
    operator: str
    start: index.Start
    rotate_every: int
    kept: keys.KeptKey | None

    def ledger(self, here: Path) -> Ledger:
        """The run's ledger in its folder `here`: begun, or resumed where there is one."""
        folder, origin, run = here / "ledger", self.start.origin, self.start.run
        keep = (lambda _: None) if self.kept is None else self.kept.keep
        if self.key is not None and not log.exists(folder):
            return Ledger.create(
                folder,
                origin=origin,
                run=run,
                key=self.key,
                rotate_every=self.rotate_every,
                keep=keep,
            )
        return Ledger.resume(
            folder,
            origin=origin,
            run=run,
            key=self.key,
            first=self.first,
            rotate_every=self.rotate_every,
            keep=keep,
        )


def declare(plan: Plan, run: Run, here: Path, operator: SigningKey) -> Seal:
    """Write the graph and the signed manifest of `run` into its folder, which is made."""
    loaded = plan.graphs.get(run.regime)
    origin = origin_of(plan, run)
    place = here / manifest.FILE_NAME
    digests = {
        f"seat-{index}-{name}": plan.files[seat.parameters[name]]
        for index, seat in enumerate(plan.pairings[run.pairing])
        for name in AGENTS[seat.agent].files
        if seat.parameters.get(name)
    }
    if asked := plan.asks(run):
        digests |= {"prompts": plan.language.prompts}
        digests |= {"rules": plan.language.rules_digest(run.regime)}
        files = plan.language.files
        digests |= {f"model-{name}": files[name] for name in asked if name in files}
    try:
        here.mkdir(exist_ok=True)
        if loaded is not None:
            digests |= {"graph.yaml": loaded.exact_digest, "graph": loaded.canonical_digest}
            write(here / "graph.yaml", loaded.document.raw)
    except OSError as error:
        raise InstitutionalError(f"{here}: cannot be written ({error.strerror})") from error
    kept = None
    key: SigningKey | None = keys.run_key(operator, origin)
    first = None
    if plan.specification.keys == "fresh":
        kept = keys.KeptKey.of(origin, here)
        declared = place.is_file()
        first = manifest.read_manifest(place)[1].key if declared else None
        key = kept.load() if declared else kept.draw(origin)
    if first is None:
        assert key is not None  # noqa: S101 - derived, or just drawn
        first = key.verify_key
    payload = manifest.statement(
        run=run.id,
        origin=origin,
        key=first,
        config=resolved(plan, run),
        packages=versions(),
        plan=plan.digest,
        digests=digests,
    )
    digest = manifest.write_manifest(place, payload, operator)
    start = index.Start(run.id, origin, digest, plan.specification.name, plan.digest)
    vkey = operator.verify_key.vkey
    return Seal(key, first, vkey, start, plan.specification.rotate_every, kept)


def ended(plan: Plan, run: Run, here: Path) -> index.End:
    """How a finished run ended: its published head."""
    try:
        head = (here / "ledger" / log.CHECKPOINT).read_text()
    except OSError as error:
        raise InstitutionalError(
            f"{here}: the head of a finished run cannot be read ({error.strerror})\n"
            f"  restore it, or remove {here} to have the run played again"
        ) from error
    return index.End(run.id, origin_of(plan, run), head)


def origin_of(plan: Plan, run: Run) -> str:
    """The name of the run's log: it tells experiment, plan and run apart."""
    return f"institutional/run/{plan.specification.name}/{plan.digest[:16]}/{run.id}"


def resolved(plan: Plan, run: Run) -> dict[str, Any]:
    """Everything that determines the run, defaults included."""
    chosen = plan.specification
    return {
        "environment": plan.environment,
        "regime": run.regime,
        "pairing": run.pairing,
        "seats": [asdict(seat) for seat in plan.pairings[run.pairing]],
        "seed": run.seed,
        "commit_every": chosen.commit_every,
        "rotate_every": chosen.rotate_every,
        **({"beacon": chosen.beacon} if chosen.beacon else {}),
        **({"language": conversation(plan, run)} if plan.asks(run) else {}),
        **({"fork": chosen.fork.declared()} if chosen.fork is not None else {}),
    }


def conversation(plan: Plan, run: Run) -> dict[str, Any]:
    """What decides the answers of those who read: models, texts and their own parameters."""
    language, inspection = plan.language, plan.language.inspections.get(run.regime)
    readers = {
        name: AGENTS[seat.agent].parameters | dict(seat.parameters)
        for name, seat in zip(plan.core.agents, plan.pairings[run.pairing], strict=True)
        if AGENTS[seat.agent].reads_text
    }
    return {
        "models": language.identity(plan.asks(run)),
        "prompts": language.prompts,
        "rules": language.rules_digest(run.regime),
        "inspection": None if inspection is None else inspection._asdict(),
        "seats": readers,
    }


@cache
def versions() -> Mapping[str, str]:
    """Versions of what a result depends on; reading them takes longer than a short run."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def write(path: Path, data: bytes) -> None:
    """Write atomically: a reader sees the old file or the new one."""
    if path.is_file() and path.read_bytes() == data:
        return
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    temporary.replace(path)

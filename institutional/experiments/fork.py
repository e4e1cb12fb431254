"""A run taken up at a round under another regime: what was answered before is answered again.

A fork is an experiment of one run. Until its round every agent that reads gives the answers of the
run it was forked from, whatever it is told now; from then on the models are asked. Its plan and its
manifest name the other run's log, the head of that log and the round.
"""

import io
import os
from pathlib import Path
from typing import Any

from pydantic import Field
from ruamel.yaml import YAML

from agents.language.exchange import Place
from institutional.cassette import answers
from institutional.cassette.exchange import FILE_NAME, said
from institutional.cassette.reading import Cassette, read_cassette
from institutional.errors import InstitutionalError
from institutional.experiments.models import Strict
from institutional.governance import alteration
from institutional.governance.document import Document, read_document
from institutional.ledger import wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular
from institutional.ledger.log import LOG
from institutional.ledger.note import parse_checkpoint, parse_note
from institutional.ledger.reading import StoredEntries

_KEPT = (
    "environment",
    "agents",
    "models",
    "budget",
    "retries",
    "prices",
    "commit_every",
    "rotate_every",
)
"""What a fork takes over of a specification."""


class Fork(Strict):
    """Which run this one was forked from, and where."""

    run: str = Field(description="its folder, from the specification's folder")
    origin: str = Field(description="the name of its log")
    head: str = Field(pattern="^[0-9a-f]{64}$", description="the root of its log, in hex")
    round: int = Field(strict=True, ge=1, description="the first round whose models are asked")

    def declared(self) -> dict[str, Any]:
        """What plan and manifest say of it: wherever that run lies."""
        return self.model_dump(exclude={"run"})


def parent(beside: Path, fork: Fork) -> tuple[Path, Cassette]:
    """The folder and the cassette of the run that `fork` names, from the folder `beside`.

    Raises InstitutionalError unless it is that run, and its cassette the one that its log names as
    far as the fork goes.
    """
    folder = beside / fork.run
    if (fork.origin, fork.head) != _head(folder):
        raise InstitutionalError(
            f"{folder}: not the run that was forked: its log is not {fork.origin} with the root "
            f"{fork.head[:16]}\n  put that run back there"
        )
    cassette = read_cassette(folder)
    if cassette is None:
        raise InstitutionalError(f"{folder / FILE_NAME}: not there, so it cannot be forked")
    for entry in StoredEntries(folder / "ledger"):
        if entry.kind == answers.KIND and entry.body["round"] < fork.round:
            for agent, told in entry.body["answers"].items():
                for number, exchange in enumerate(told["exchanges"]):
                    place = Place(agent, entry.body["round"], number)
                    if cassette.addresses.get(place) != exchange["address"]:
                        raise InstitutionalError(
                            f"{folder / FILE_NAME}: at {said(place)} it does not hold what the "
                            "ledger names\n  put back the cassette that was written with it"
                        )
    return folder, cassette


def _head(folder: Path) -> tuple[str, str]:
    """The name of a run's log and its root, in hex."""
    path = folder / "ledger" / LOG
    try:
        with open_regular(path) as file:
            prefix = wal.committed(file, None)
        checkpoint = parse_checkpoint(parse_note(prefix.head).text)
    except (OSError, LedgerError) as error:
        raise InstitutionalError(f"{path}: no log that can be read: {error}") from error
    return checkpoint.origin, checkpoint.root.hex()


def forked(
    run: Path,
    out: Path,
    *,
    round_: int,
    graph: Path | None = None,
    constitution: Path | None = None,
) -> Path:
    """Write the specification of the fork of `run` at `round_` beside `out`; returns its path.

    Under the `graph`, which begins at that round, or under the `constitution`, or under nothing.
    Raises InstitutionalError, with nothing written, for a run that cannot be forked so.
    """
    entries = StoredEntries(run / "ledger")
    if not entries or entries[len(entries) - 1].kind != "close":
        raise InstitutionalError(f"{run}: not a finished run\n  finish it first, then fork it")
    opening = entries[0].body
    language = opening.get("language")
    if language is None:
        raise InstitutionalError(
            f"{run}: nobody reads in this run, so there are no answers to keep\n"
            "  run its experiment under the other regime instead"
        )
    if language["inspection"] is not None:
        raise InstitutionalError(
            f"{run}: an inspector saw its plans, and which of them were played hangs on that\n"
            "  fork a run without one"
        )
    if not 1 <= round_ < opening["rounds"]:
        raise InstitutionalError(
            f"--round {round_}: choose one of 1 to {opening['rounds'] - 1}, the first that is new"
        )
    document = _specification(run)
    here, there = out.parent, Path(document.path).parent
    written = out.with_name(out.name + ".yaml")
    name: str = "ungoverned"
    regime: dict[str, Any] = {}
    files = {}
    if graph is not None:
        beginning = out.with_name(out.name + ".graph.yaml")
        files[beginning] = _beginning(graph, here, round_)
        name, regime = "institutional", {"graph": beginning.name}
    elif constitution is not None:
        name, regime = "constitutional", {"constitution": {"file": _moved(constitution, here)}}
    origin, head = _head(run)
    values = {key: document.values[key] for key in _KEPT if key in document.values}
    if "prices" in values:
        values["prices"] = _moved(there / values["prices"], here)
    for entry in values.get("models", {}).values():
        if (there / entry.get("model", "")).is_dir() and entry.get("model"):
            entry["model"] = _moved(there / entry["model"], here)
    pairing = opening["pairing"]
    specification = {
        "format": document.values["format"],
        "name": f"{document.values['name'][:35]}_fork",
        "title": f"{opening['regime']}-{pairing}-{opening['seed']:04d} from round {round_} on",
        **values,
        "regimes": {name: regime},
        "pairings": {pairing: document.values["pairings"][pairing]},
        "seeds": [opening["seed"]],
        "comparison": {"baseline": name},
        "fork": {"run": _moved(run, here), "origin": origin, "head": head, "round": round_},
    }
    files[written] = _yaml(specification)
    for path, data in files.items():
        if path.exists() and path.read_bytes() != data:
            raise InstitutionalError(
                f"{path}: there already, of another fork; choose another --out"
            )
    for path, data in files.items():
        path.write_bytes(data)
    return written


def _specification(run: Path) -> Document:
    """The specification of the experiment that `run` belongs to, where its paths hold if it can be.

    An experiment's folder lies beside its specification unless another was chosen.
    """
    folder = run.resolve().parent
    copied = read_document(folder / "experiment.yaml")
    beside = folder.with_suffix(".yaml")
    if beside.is_file() and beside.read_bytes() == copied.raw:
        return read_document(beside)
    return copied


def _moved(path: Path, here: Path) -> str:
    """`path` as it is written in a file in the folder `here`."""
    return Path(os.path.relpath(path, here)).as_posix()


def _beginning(graph: Path, here: Path, round_: int) -> bytes:
    """The graph as an alteration, in a file in `here`, that begins at the round."""
    document = read_document(graph)
    values, of = document.values, graph
    changes = {}
    if alteration.is_alteration(document):
        of, changes = graph.parent / values["of"], dict(values["changes"])
    return _yaml(
        {
            "format": alteration.FORMAT,
            "of": _moved(of, here),
            "name": f"{values['name'][:40]}_from_{round_}",
            "title": f"{values['title']}, from round {round_} on",
            "changes": {**changes, "detection.from_round": round_},
        }
    )


def _yaml(values: dict[str, Any]) -> bytes:
    made = io.BytesIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(values, made)
    return made.getvalue()

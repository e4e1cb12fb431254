"""A governance graph that is another with something changed: control arms without copies.

An alteration names a graph and says which of its places hold what instead. The altered graph is an
ordinary document of its own: the text of the first with those places written anew, comments kept,
so that a run folder holds the whole institution and a text comparison shows the change and nothing
else.
"""

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, SequenceNode

from institutional.errors import suggestion
from institutional.governance.document import Document, Place, parse_document, read_document
from institutional.governance.schema import Model, Name, Text

FORMAT = "institutional.alteration/1"


class Alteration(Model):
    """The YAML document."""

    format: Literal["institutional.alteration/1"]
    of: Text = Field(description="the graph that is altered, relative to this file")
    name: Name
    title: Text
    changes: dict[str, Any] = Field(
        min_length=1,
        description="place: what is written there instead; keys are joined by dots, "
        "edges are named by their id",
    )


class _Edit(NamedTuple):
    """`text` instead of what stands between two places of the original."""

    start: int
    end: int
    text: str


def is_alteration(document: Document) -> bool:
    """Whether `document` says that it is one."""
    return isinstance(document.values, dict) and document.values.get("format") == FORMAT


def altered(document: Document) -> Document:
    """The graph that the alteration in `document` makes of another, as a document of its own.

    Raises InstitutionalError where the other graph or a place in it is not there.
    """
    said = document.validated(Alteration, document.values)
    path = Path(document.path).parent / said.of
    if not path.is_file():
        raise document.problem(("of",), f"{path} is not there; the path is relative to this file")
    original = read_document(path)
    if is_alteration(original):
        raise document.problem(("of",), f"{path} is itself an alteration: name its graph")
    text = original.raw.decode("utf-8")
    root = YAML(typ="safe", pure=True).compose(text)
    added = ""
    edits = []
    for key, value in {"name": said.name, "title": said.title, **said.changes}.items():
        place: Place = ("changes", key) if key in said.changes else (key,)
        written = f"{key.rsplit('.', 1)[-1]}: {json.dumps(value, ensure_ascii=False)}"
        *way, last = key.split(".")
        parent = root
        for step in way:
            parent = _known(document, place, parent, step)
        if parent is root and last not in _entries(root):
            added += f"{written}\n"  # a new key of the document goes to its end
        elif last in _entries(parent):
            node = _entries(parent)[last]
            edits.append(_Edit(node.start_mark.index, _end(node), written.split(": ", 1)[1]))
        elif isinstance(parent, MappingNode):
            edits.append(_inserted(parent, written))
        else:
            _known(document, place, parent, last)
    ordered = sorted(edits, reverse=True)
    for later, earlier in pairwise(ordered):
        if earlier.end > later.start:
            raise document.problem(
                ("changes",), "one change lies within another: write them as one"
            )
    for edit in ordered:
        text = text[: edit.start] + edit.text + text[edit.end :]
    digest = hashlib.sha256(original.raw).hexdigest()
    text = (
        f"{text.rstrip()}\n{added}# Altered from {path.name}, SHA-256 {digest}:\n"
        f"# {', '.join(('name', 'title', *said.changes))}.\n"
    )
    return parse_document(text.encode(), f"{document.path} (altering {path.name})")


def _entries(node: Node) -> dict[str, Node]:
    """What lies directly below `node`, by key or, in a list of edges, by id."""
    if isinstance(node, MappingNode):
        return {key.value: value for key, value in node.value}
    if isinstance(node, SequenceNode):
        named = (
            (entries["id"].value, item)
            for item in node.value
            if "id" in (entries := _entries(item))
        )
        return dict(named)
    return {}


def _known(document: Document, place: Place, parent: Node, step: str) -> Node:
    entries = _entries(parent)
    if step not in entries:
        listed = ", ".join(entries) or "nothing"
        raise document.problem(
            place,
            f'there is no "{step}" in the graph\n  there: {listed}.{suggestion(step, entries)}',
        )
    return entries[step]


def _end(node: Node) -> int:
    """Where the last written character of `node` lies: a block goes on to the next key."""
    if not isinstance(node, CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _inserted(parent: MappingNode, written: str) -> _Edit:
    """A new first entry of a mapping, written as the mapping is."""
    if parent.flow_style:
        start = parent.start_mark.index + 1
        return _Edit(start, start, written + (", " if parent.value else ""))
    first = parent.value[0][0].start_mark
    return _Edit(first.index, first.index, f"{written}\n{' ' * first.column}")

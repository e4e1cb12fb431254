"""YAML 1.2 text into plain values that know where they stand.

Only plain YAML is read: duplicate keys, anchors, aliases, tags, non-finite numbers and documents
that are too large or too deep are errors with line and column. Nothing is ever constructed but
dictionaries, lists, texts, numbers, booleans and null.
"""

import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from institutional.errors import InstitutionalError, suggestion

LARGEST_DOCUMENT = 1 << 18
DEEPEST = 40
_BRACKET = re.compile(r"[\[\]{}]")

M = TypeVar("M", bound=BaseModel)

Place = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


@dataclass(frozen=True)
class Document:
    """A YAML document: its values, its exact bytes, and the line and column of each place."""

    path: str
    raw: bytes
    values: Any
    marks: dict[Place, tuple[int, int]]

    def where(self, place: Place) -> str:
        """`path:line:column` of `place`, or of the nearest place above it that exists."""
        line, column = self.marks[self._known(place)]
        return f"{self.path}:{line}:{column}"

    def _known(self, place: Place) -> Place:
        """`place` without the steps that a validator names itself (the branches of a union)."""
        known: Place = ()
        for step in place:
            if (*known, step) in self.marks:
                known = (*known, step)
        return known

    def validated(self, model: type[M], values: Any) -> M:
        """Validate `values` (this document's, possibly resolved) as `model`; errors have places."""
        try:
            return model.model_validate(values)
        except ValidationError as error:
            # A misspelt key is also a missing one: the spelling comes first.
            problems = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
            said: dict[Place, list[str]] = {}
            for problem in problems:
                place = self._known(tuple(problem["loc"]))
                said.setdefault(place, []).append(self._explained(model, problem))
            messages = [self.problem(p, "; or ".join(m)) for p, m in list(said.items())[:10]]
            raise InstitutionalError("\n".join(map(str, messages))) from None

    def _explained(self, model: type[BaseModel], error: Any) -> str:
        place, kind = tuple(error["loc"]), error["type"]
        last = place[-1] if place else "document"
        here = self._known(place)
        if kind == "extra_forbidden":
            return f'unknown key "{last}".{suggestion(str(last), _field_names(model))}'
        if kind == "missing":
            return f'the key "{last}" is missing here'
        if kind == "value_error":
            return str(error["ctx"]["error"])
        name = here[-1] if here else "document"
        return f'"{name}" is {error["input"]!r}: {error["msg"][0].lower()}{error["msg"][1:]}'

    def problem(self, place: Place, message: str) -> InstitutionalError:
        """Build the error for a finding at `place`."""
        return InstitutionalError(f"{self.where(place)}: {message}")


def _field_names(model: type[BaseModel]) -> list[str]:
    """Every key that may be written anywhere in a document of this kind."""
    module = vars(sys.modules[model.__module__])
    models = [m for m in module.values() if isinstance(m, type) and issubclass(m, BaseModel)]
    return sorted({f.alias or name for m in models for name, f in m.model_fields.items()})


def read_document(path: Path) -> Document:
    """Read and parse the file at `path`; raises InstitutionalError for anything but plain YAML."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_DOCUMENT + 1)
    except OSError as error:
        raise InstitutionalError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_document(raw, str(path))


def parse_document(raw: bytes, path: str) -> Document:
    """Parse `raw` YAML bytes; `path` is only for messages."""
    if len(raw) > LARGEST_DOCUMENT:
        raise InstitutionalError(f"{path}: more than the {LARGEST_DOCUMENT} bytes that are read")
    yaml = YAML(typ="safe", pure=True)
    try:
        text = raw.decode("utf-8")
        _refuse_depth(text, path)
        node = yaml.compose(text)
    except UnicodeDecodeError as error:
        raise InstitutionalError(f"{path}: not UTF-8 at byte {error.start}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise InstitutionalError(f"{place}: not valid YAML: {error.problem}") from error
    except (YAMLError, RecursionError) as error:
        raise InstitutionalError(f"{path}: not valid YAML: {error}".splitlines()[0]) from error
    if node is None:
        raise InstitutionalError(f"{path}: empty; it should hold one YAML mapping")
    marks: dict[Place, tuple[int, int]] = {}
    seen: set[int] = set()
    values = _value(node, (), path, marks, seen)
    return Document(path, raw, values, marks)


def _refuse_depth(text: str, path: str) -> None:
    """Stop before the parser recurses: flow brackets and indentation bound the nesting."""
    depth = 0
    for line_number, line in enumerate(text.splitlines(), 1):
        indent = len(line) - len(line.lstrip(" "))
        deepest = depth
        for bracket in _BRACKET.findall(line):
            depth += 1 if bracket in "[{" else -1
            deepest = max(deepest, depth)
        if deepest > DEEPEST or indent > 4 * DEEPEST or line.count("- ") > DEEPEST:
            raise InstitutionalError(f"{path}:{line_number}:1: nested deeper than {DEEPEST} levels")


def _value(
    node: Node, place: Place, path: str, marks: dict[Place, tuple[int, int]], seen: set[int]
) -> Any:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    marks.setdefault(place, (line, column))
    here = f"{path}:{line}:{column}"
    if id(node) in seen or node.anchor is not None:
        raise InstitutionalError(f"{here}: anchors and aliases are not read; write the value out")
    seen.add(id(node))
    if isinstance(node, MappingNode):
        return _mapping(node, place, path, marks, seen)
    if isinstance(node, SequenceNode):
        return [_value(v, (*place, i), path, marks, seen) for i, v in enumerate(node.value)]
    assert isinstance(node, ScalarNode)  # noqa: S101 - YAML has no fourth kind of node
    return _scalar(node, here)


def _mapping(
    node: MappingNode, place: Place, path: str, marks: dict[Place, tuple[int, int]], seen: set[int]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        here = f"{path}:{line}:{column}"
        if not isinstance(key_node, ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
            raise InstitutionalError(
                f'{here}: the key "{str(key_node.value)[:60]}" is not text; quote it'
            )
        key = key_node.value
        if key in result:
            first = marks[(*place, key)][0]
            raise InstitutionalError(
                f'{here}: duplicate key "{key}", first on line {first}\n'
                "  only one of the two can be meant: remove or rename one"
            )
        marks[(*place, key)] = (line, column)
        result[key] = _value(value_node, (*place, key), path, marks, seen)
    return result


def _scalar(node: ScalarNode, here: str) -> str | int | float | bool | None:
    text = str(node.value)
    match node.tag:
        case "tag:yaml.org,2002:str":
            return text
        case "tag:yaml.org,2002:null":
            return None
        case "tag:yaml.org,2002:bool":
            return text.lower() == "true"
        case "tag:yaml.org,2002:int" | "tag:yaml.org,2002:float":
            try:
                number = int(text, 10) if node.tag.endswith("int") else float(text)
            except ValueError:
                raise InstitutionalError(f'{here}: "{text[:60]}" is no decimal number') from None
            if not math.isfinite(number):
                raise InstitutionalError(f"{here}: {text[:60]} is not a finite number")
            return number
        case _:
            raise InstitutionalError(
                f'{here}: the tag of "{text[:60]}" is not read; quote it as text'
            )

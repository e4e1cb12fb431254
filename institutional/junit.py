"""JUnit XML, which every CI system shows: one suite of cases, without times.

The same outcomes give the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple
from xml.etree import ElementTree as ET

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Trouble(NamedTuple):
    """Why a case did not pass: a short message and the whole story."""

    how: Literal["failure", "error", "skipped"]
    message: str
    kind: str = ""
    text: str = ""


class Case(NamedTuple):
    """One case: its class and name, where it is written, and its trouble if it has any."""

    classname: str
    name: str
    trouble: Trouble | None = None
    attributes: Mapping[str, str] = {}


def as_xml(
    title: str, suite: str, cases: Sequence[Case], *, properties: Mapping[str, str] | None = None
) -> str:
    """Return the document: `title` of the whole, name of the one `suite`, its `properties`."""
    troubles = [case.trouble.how for case in cases if case.trouble is not None]
    top = ET.Element(
        "testsuite",
        name=_plain(suite),
        tests=str(len(cases)),
        failures=str(troubles.count("failure")),
        errors=str(troubles.count("error")),
        skipped=str(troubles.count("skipped")),
    )
    if properties:
        within = ET.SubElement(top, "properties")
        for name, value in properties.items():
            ET.SubElement(within, "property", name=name, value=_plain(value))
    for case in cases:
        attributes = {name: _plain(value) for name, value in case.attributes.items()}
        named = {"classname": _plain(case.classname), "name": _plain(case.name)}
        _add_trouble(ET.SubElement(top, "testcase", named | attributes), case.trouble)
    suites = ET.Element("testsuites", name=title)
    suites.append(top)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _add_trouble(case: ET.Element, trouble: Trouble | None) -> None:
    if trouble is None:
        return
    found = ET.SubElement(case, trouble.how, message=_plain(trouble.message))
    if trouble.kind:
        found.set("type", trouble.kind)
    if trouble.text:
        found.text = _plain(trouble.text)


def _plain(text: str) -> str:
    """`text` without the characters that XML cannot hold."""
    return _NOT_IN_XML.sub("\ufffd", text)

"""The few HTML pieces a report is made of; whatever is not already `Html` is escaped."""

import html
import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from institutional.errors import InstitutionalError

STYLE = """
:root { --ink: #1f2328; --soft: #59636e; --line: #d9dee3; --pale: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1060px; padding: 28px 30px 60px; color: var(--ink);
  background: #fff; font: 15px/1.5 Helvetica, Arial, sans-serif; }
h1 { font-size: 27px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 44px 0 8px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 15.5px; margin: 22px 0 6px; }
p, ul { margin: 6px 0 10px; max-width: 860px; }
nav { margin: 14px 0 0; font-size: 13.5px; }
nav a { color: #0b5a94; text-decoration: none; margin-right: 14px; white-space: nowrap; }
.soft { color: var(--soft); }
table { border-collapse: collapse; font-size: 13px; line-height: 1.35; margin: 8px 0 14px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 3.5px 10px 3.5px 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 600; border-bottom: 1.5px solid #8b949e; vertical-align: bottom; }
th.n, td.n { text-align: right; white-space: nowrap; }
td.na { color: var(--soft); font-style: italic; }
tr.group td { font-weight: 600; background: var(--pale); padding-left: 6px; }
.wide { overflow-x: auto; }
figure { margin: 12px 0 18px; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; }
figure.natural svg { width: auto; max-width: 100%; }
figcaption { font-size: 13px; color: var(--soft); max-width: 860px; margin-top: 4px; }
pre { background: var(--pale); border: 1px solid var(--line); padding: 10px 12px; font-size: 12px;
  line-height: 1.4; white-space: pre-wrap; overflow-wrap: anywhere; }
code { font: 12.5px/1.4 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.transcript table { table-layout: fixed; min-width: 980px; width: 100%; font-size: 12px; }
.transcript td { white-space: pre-line; overflow-wrap: anywhere; }
.transcript th:nth-child(1) { width: 5%; } .transcript th:nth-child(2) { width: 8%; }
.transcript th:nth-child(6) { width: 13%; } .transcript th:nth-child(7) { width: 25%; }
mark { background: #ffedb8; color: inherit; padding: 0 3px; border-radius: 2px; }
details { margin: 8px 0; } summary { cursor: pointer; color: #0b5a94; font-size: 13.5px; }
@media print {
  body { padding: 0; font-size: 11pt; } nav { display: none; } h2, h3 { break-after: avoid; }
  tr { break-inside: avoid; } details::details-content { content-visibility: visible; }
}
"""

_SPAN = "\x00"
_FORBIDDEN = {"script", "foreignobject", "iframe", "animate", "set"}


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def esc(value: object) -> Html:
    """Return `value` as markup: unchanged if it is, escaped if not."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def joined(*parts: object, by: str = "\n") -> Html:
    """All `parts` after one another, each escaped if it is not markup."""
    return Html(by.join(esc(part) for part in parts))


def element(tag: str, *content: object, **attributes: str) -> Html:
    """One element; a trailing underscore in an attribute's name (`class_`) is dropped."""
    pairs = "".join(f' {k.rstrip("_")}="{html.escape(v)}"' for k, v in attributes.items())
    return Html(f"<{tag}{pairs}>{joined(*content, by='')}</{tag}>")


def paragraph(*content: object, soft: bool = False) -> Html:
    """One paragraph."""
    return element("p", *content, class_="soft") if soft else element("p", *content)


def bullets(items: Sequence[object]) -> Html:
    """An unordered list."""
    return element("ul", *(element("li", item) for item in items))


def spanning(text: str) -> str:
    """A cell of `table` that takes the rest of its row, for what is not applicable."""
    return _SPAN + text


def table(header: Sequence[object], rows: Sequence[Sequence[object]], *, text: int = 1) -> Html:
    """Return a table whose first `text` columns are words and whose others are numbers.

    A column called "note" is words too. A row with one cell is a heading between rows; a cell made
    by `spanning` ends its row. Without any title there is no head.
    """

    def kind(column: int) -> str:
        return "" if column < text or header[column] == "note" else ' class="n"'

    titles = "".join(f"<th{kind(i)}>{esc(title)}</th>" for i, title in enumerate(header))
    head = f"<thead><tr>{titles}</tr></thead>\n" if any(header) else ""
    body = []
    for row in rows:
        if len(row) == 1 and len(header) > 1:
            cells = f'<td colspan="{len(header)}">{esc(row[0])}</td>'
            body.append(f'<tr class="group">{cells}</tr>')
            continue
        cells = ""
        for i, cell in enumerate(row):
            if isinstance(cell, str) and cell.startswith(_SPAN):
                rest = len(header) - i
                cells += f'<td class="na" colspan="{rest}">{esc(cell.removeprefix(_SPAN))}</td>'
                break
            cells += f"<td{kind(i)}>{esc(cell)}</td>"
        body.append(f"<tr>{cells}</tr>")
    rows_text = "\n".join(body)
    return Html(f'<div class="wide"><table>{head}<tbody>{rows_text}</tbody></table></div>')


def figure(svg: Html, caption: object, *, natural: bool = False) -> Html:
    """A drawing with its caption; `natural` keeps the drawing's own size."""
    kind = {"class_": "natural"} if natural else {}
    return element("figure", svg, element("figcaption", caption), **kind)


def folded(summary: str, *content: object) -> Html:
    """Content that is closed at first; browsers open it without a script."""
    return element("details", element("summary", summary), *content)


def section(key: str, title: str, *content: object) -> Html:
    """A part of the page that the navigation can lead to."""
    return element("section", element("h2", title), Html("\n"), *content, id=key)


def page(title: str, subtitle: object, sections: Sequence[tuple[str, str, Html]]) -> str:
    """The whole document; `sections` are (key, title, content)."""
    links = [element("a", name, href=f"#{key}") for key, name, _ in sections]
    body = joined(
        element("h1", title),
        subtitle,
        element("nav", joined(*links)),
        *(section(key, name, content) for key, name, content in sections),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{esc(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def inline_svg(svg: str, *, prefix: str) -> Html:
    """Return `svg` fit to stand in a page: no prolog, ids of its own, nothing active or remote.

    Raises InstitutionalError for a drawing with scripts, handlers or references to elsewhere.
    """
    start = svg.find("<svg")
    body = svg[start:] if start >= 0 else svg
    try:
        root = ET.fromstring(body)  # noqa: S314 - the prolog, where entities are declared, is cut
    except ET.ParseError as error:
        raise InstitutionalError(f"drawing {prefix}: not an SVG document ({error})") from error
    for node in root.iter():
        _refuse_active(node, prefix)
    used = set(re.findall(r'(?:url\(#|href="#|aria-[a-z]+=")([\w.-]+)', body))
    body = re.sub(
        r'\sid="([\w.-]+)"',
        lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "",
        body,
    )
    body = re.sub(r'(url\(#|href="#|aria-[a-z]+=")(?=[\w.-]+[")])', rf"\1{prefix}-", body)
    return Html(body.strip())


def _refuse_active(node: ET.Element, prefix: str) -> None:
    tag = str(node.tag).rsplit("}", 1)[-1].lower()
    bad = [tag] if tag in _FORBIDDEN else []
    for name, value in node.attrib.items():
        bare = name.rsplit("}", 1)[-1].lower()
        remote = bare == "href" and not value.startswith(("#", "data:image/png;base64,"))
        if remote or bare.startswith("on") or "url(" in value.replace("url(#", ""):
            bad.append(bare)
    if tag == "style" and re.search(r"@import|url\((?!#)", node.text or ""):
        bad.append(tag)
    if bad:
        raise InstitutionalError(f'drawing {prefix}: "{bad[0]}" is not allowed in a report')

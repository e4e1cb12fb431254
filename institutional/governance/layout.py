"""A governance graph's file in the house's layout: comments stay, meaning stays, spacing is one.

The result is read back and its canonical digest compared: a formatter that changed the institution
would be worse than none.
"""

import io

from ruamel.yaml import YAML

from institutional.errors import InstitutionalError
from institutional.governance.loading import LoadedGraph, parse_graph

UNFOLDED = 1 << 16
"""Wider than any line: where a line ends is the author's business."""


def formatted(loaded: LoadedGraph) -> bytes:
    """Return the bytes of `loaded`'s document in the house's layout, comments kept."""
    yaml = YAML(typ="rt", pure=True)
    yaml.width = UNFOLDED
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.BytesIO()
    yaml.dump(yaml.load(loaded.document.raw), out)
    lines = [line.rstrip() for line in out.getvalue().decode().splitlines()]
    result = ("\n".join(lines).rstrip("\n") + "\n").encode()
    again = parse_graph(result, loaded.document.path)
    if again.canonical_digest != loaded.canonical_digest:
        raise InstitutionalError(
            f"{loaded.document.path}: formatting would change the institution; left as it is\n"
            "  quote the texts that hold special characters and try again"
        )
    return result

import json
import re
from pathlib import Path

from agents.language import texts

KNOWN = json.loads((Path(__file__).parents[1] / "golden/language/texts.json").read_text())


def test_a_changed_text_has_a_new_version():
    """Raise `texts.VERSION` with the texts, and add the digest to tests/golden/language."""
    assert KNOWN[str(texts.VERSION)] == texts.digest()
    assert len(set(KNOWN.values())) == len(KNOWN)


def test_no_text_names_rivals_cooperation_or_law_to_a_player():
    """As in Lin et al.: what an agent does about rivals is its own idea or the regime's."""
    taboo = re.compile(
        r"rival|compet|opponent|cooperat|collu|cartel|law|legal|tacit", re.IGNORECASE
    )

    for name in ("task", "round", "malformed"):
        assert not taboo.search(texts.text(name).template)


def test_every_place_in_a_text_is_filled_by_name():
    """A dollar sign that is no place would raise when the text is filled in."""
    for path in texts.FOLDER.glob("*.md"):
        assert texts.text(path.stem).is_valid()

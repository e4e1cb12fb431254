import html.parser
import re
import time

import polars as pl
import pytest
from made_up_experiment import GRAPH, rows, write_folder

from institutional.errors import InstitutionalError
from institutional.experiments.report.html import inline_svg
from institutional.experiments.report.page import write_report
from institutional.experiments.report.read import read_experiment

VOID = {"meta", "br", "hr", "link", "img", "input"}


class Outline(html.parser.HTMLParser):
    """Checks that elements nest, and collects ids and the addresses that the page refers to."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.tags = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in {"href", "src", "xlink:href"}:
                self.references.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = rows()
    made[1] |= {"valid": False, "reason": "round 3: <no> action", "tier": None}
    made[5] |= {"audit_word": "DIVERGED", "audit_code": 5, "replay": "mismatch"}
    return write_folder(tmp_path_factory.mktemp("made_up"), made)


@pytest.fixture(scope="module")
def page(folder):
    return write_report(folder).read_text(encoding="utf-8")


def test_the_page_is_one_file_that_needs_nothing_else(page):
    outline = Outline()
    outline.feed(page)

    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert not {"script", "link", "img", "iframe"} & outline.tags
    assert all(r.startswith(("#", "data:image/png;base64,")) for r in outline.references)
    assert {r[1:] for r in outline.references if r.startswith("#")} <= set(outline.ids)
    assert "@import" not in page
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)


def test_the_same_folder_gives_the_same_bytes(folder, page):
    assert write_report(folder).read_text(encoding="utf-8") == page


def test_every_part_is_there(page):
    for key in (
        "run",
        "effects",
        "tiers",
        "time",
        "welfare",
        "sanctions",
        "graph",
        "errors",
        "audit",
    ):
        assert f'<section id="{key}">' in page
    assert "What this does not show" in page
    assert "institutional run made_up.yaml" in page
    assert "ab" * 32 in page


def test_what_is_not_applicable_is_said_with_its_reason(page):
    assert "not applicable: no agent of this pairing reads text" in page


def test_invalid_runs_are_listed_and_escaped(page):
    assert "round 3: &lt;no&gt; action" in page
    assert "<no>" not in page
    assert "its institutional run is invalid" in page


def test_failed_audits_are_named(page):
    assert "institutional-cartel-0002: audit DIVERGED, replay mismatch" in page


def test_the_signals_of_the_oracle_are_named_as_not_held_out(page):
    assert "The oracle of institutional reads hhi." in page


def test_a_given_drawing_stands_in_the_page(folder):
    svg = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><text>active</text></svg>'

    assert "<text>active</text>" in write_report(
        folder, graph_svgs={"institutional": svg}
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<a href="https://example.org"><text>x</text></a>',
        '<rect onclick="x()"/>',
        '<rect style="fill: url(https://example.org)"/>',
        "<style>@import 'x';</style>",
        "<foreignObject/>",
    ],
)
def test_a_drawing_that_acts_or_reaches_out_is_refused(inside):
    with pytest.raises(InstitutionalError, match="not allowed"):
        inline_svg(f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>', prefix="g")


def test_a_drawing_keeps_its_references_under_names_of_its_own():
    svg = '<svg><defs><path id="tip"/><g id="unused"/></defs><use href="#tip"/></svg>'

    assert inline_svg(svg, prefix="g1") == (
        '<svg><defs><path id="g1-tip"/><g/></defs><use href="#g1-tip"/></svg>'
    )


def test_names_that_look_like_markup_or_formulas_are_harmless(tmp_path):
    made = [row | {"pairing": "<b>$x$</b> & co"} for row in rows() if row["pairing"] == "cartel"]
    text = write_report(write_folder(tmp_path / "e", made, title="<i>T")).read_text("utf-8")

    assert "<b>" not in text
    assert "<title>&lt;i&gt;T</title>" in text
    assert "&lt;b&gt;$x$&lt;/b&gt; &amp; co" in text


def test_a_folder_without_its_optional_files_still_has_a_report(tmp_path):
    made = [row for row in rows() if row["regime"] == "ungoverned"]
    folder = write_folder(tmp_path / "e", made)
    for name in ("skipped.json", "experiment.yaml", "experiment.json"):
        (folder / name).unlink()
    (folder / "ungoverned-nash-0000" / "rounds.parquet").unlink()
    text = write_report(folder).read_text("utf-8")

    assert "Nothing is compared" in text
    assert "not recorded" in text
    assert "ungoverned-nash-0000" in text


def test_a_graph_other_than_the_planned_one_is_a_finding(tmp_path):
    folder = write_folder(tmp_path / "e", rows())
    (folder / "institutional-nash-0003" / "graph.yaml").write_bytes(GRAPH + b"# edited\n")

    assert read_experiment(folder).unplanned_graphs == ("institutional-nash-0003",)
    assert "whose graph is not the planned one" in write_report(folder).read_text("utf-8")


def test_long_runs_are_averaged_in_bins(tmp_path):
    experiment = read_experiment(write_folder(tmp_path / "e", rows(seeds=1), rounds=480))

    assert experiment.bin_width == 4
    assert experiment.rounds["round"].max() == 476
    assert experiment.moves["count"].sum() == 3
    fines = experiment.rounds.filter(pl.col("fines") > 0)["fines"]
    assert set(fines) == {0.25}  # one of four rounds


def test_a_folder_without_results_says_what_to_do(tmp_path):
    with pytest.raises(InstitutionalError, match="finish the experiment with `institutional run`"):
        write_report(tmp_path)


def test_skipped_cells_of_the_wrong_kind_are_named(tmp_path):
    folder = write_folder(tmp_path / "e", rows(seeds=1))
    (folder / "skipped.json").write_text('[{"regime": "constitutional"}]')

    with pytest.raises(InstitutionalError, match=r"skipped\.json: not a list"):
        write_report(folder)


@pytest.mark.parametrize("name", ["experiment.json", "skipped.json"])
def test_a_torn_file_is_named(tmp_path, name):
    folder = write_folder(tmp_path / "e", rows(seeds=1))
    (folder / name).write_text('{"name": ')

    with pytest.raises(InstitutionalError, match=f"{name}: torn"):
        write_report(folder)


def test_a_torn_table_is_named(tmp_path):
    folder = write_folder(tmp_path / "e", rows(seeds=1))
    (folder / "institutional-nash-0000" / "rounds.parquet").write_bytes(b"PAR1")

    with pytest.raises(InstitutionalError, match="institutional-nash-0000"):
        write_report(folder)


def test_a_stamp_of_the_wrong_kind_names_the_key(tmp_path):
    folder = write_folder(tmp_path / "e", rows(seeds=1))
    (folder / "experiment.json").write_text('{"versions": 3}')

    with pytest.raises(InstitutionalError, match=r"experiment\.json: versions"):
        write_report(folder)


def test_a_report_of_many_runs_takes_seconds_not_minutes(tmp_path):
    folder = write_folder(tmp_path / "e", rows(seeds=20))
    start = time.process_time()
    write_report(folder)

    assert time.process_time() - start < 15

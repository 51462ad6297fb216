import re
from html.parser import HTMLParser

import numpy as np
import pytest

from cnnjax.errors import BadArgument
from cnnjax.experiment import read_results, write_report
from tests.experiment import made_up

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting, collects elements with their attributes and the text of tables."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.tables, self.words = [], [], {}, []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.table = self.tables.setdefault(dict(attributes).get("id"), [])
        elif tag == "tr":
            self.table.append([])
        elif tag in ("td", "th"):
            self.table[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.table[-1][-1] += data

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def page_of(path, **options):
    test_set = made_up.write(path, **options)
    text = write_report(path, test_set).read_text()
    return text, Page(text), test_set


def test_everything_is_there(tmp_path):
    text, page, test_set = page_of(tmp_path)
    sections = ("failures", "accuracy", "differences", "tradeoffs", "curves", "mistakes", "filters")
    assert set(sections) | {"method", "command"} <= set(page.ids())
    assert len(page.ids()) == len(set(page.ids()))
    words = " ".join(" ".join(page.words).split())
    for expected in (
        "No clear winner: good leads with",
        "the loss is nan at step 7",
        "nothing was selected on it",
        "cnnjax compare x --out 'a b'",
        "a processor, 2 cores",
        "0123456789ab",
        "not committed",
        "toy/1.0.0",
        "learning rate",
        "6 filters of 5x5x1",
    ):
        assert expected in words, expected
    assert "<b>bad" not in text  # a label is text, whatever it looks like
    results = read_results(tmp_path)
    runs = [run for run in results["runs"] if run["network"] == "good"]
    predicted = [np.load(tmp_path / run["arrays"])["predicted"] for run in runs]
    wrong = (np.stack(predicted) != test_set.labels).any(axis=0)
    taken = [a for tag, a in page.elements if tag == "img" and "taken for" in a["alt"]]
    assert len(taken) == wrong.sum()
    assert {int(re.search(r"image (\d+)", a["alt"])[1]) for a in taken} == set(
        np.flatnonzero(wrong)
    )


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    text, page, _ = page_of(tmp_path)
    assert "http" not in text
    assert "url(" not in text.replace("url(#", "")
    assert "@import" not in text
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "iframe")]
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))


def test_pictures_have_words(tmp_path):
    _, page, _ = page_of(tmp_path)
    pictures = [a for tag, a in page.elements if tag == "img"]
    figures = [a for tag, a in page.elements if tag == "svg"]
    assert pictures
    assert all(attributes.get("alt") for attributes in pictures)
    assert len(figures) >= 6
    assert all(attributes.get("aria-label") for attributes in figures)


def test_the_table_has_the_numbers_of_numpy(tmp_path):
    _, page, _ = page_of(tmp_path)
    header, *rows = page.tables["accuracy-table"]
    results = read_results(tmp_path)
    assert len(rows) == len(made_up.NETWORKS)
    for row in rows:
        cells = dict(zip(header, (" ".join(cell.split()) for cell in row), strict=True))
        runs = [run for run in results["runs"] if run["network"] == cells["network"]]
        values = np.array([100 * run["test_accuracy"] for run in runs])
        assert cells["test accuracy, %"] == f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"
        assert cells["n"] == str(len(values))
        parameters, multiply_adds = made_up.NETWORKS[cells["network"]]
        assert cells["parameters"] == f"{parameters:,}"
        assert cells["multiply-adds"] == f"{multiply_adds:,}"
        seconds = np.mean([run["train_seconds"] for run in runs])
        assert cells["train s"] == f"{seconds:.1f}"


@pytest.mark.parametrize("validation", [True, False])
def test_one_seed_without_failures(tmp_path, validation):
    text, page, _ = page_of(tmp_path, seeds=1, failures=(), validation=validation)
    assert "failures" not in page.ids()
    assert ("validation error" in text) == validation
    assert ">nan<" not in text.lower()


def test_all_runs_failed(tmp_path):
    _, page, _ = page_of(tmp_path, failures=[(label, None) for label in made_up.NETWORKS])
    assert "No run finished." in page.words
    assert "method" in page.ids()


def test_another_test_set_is_refused(tmp_path):
    made_up.write(tmp_path)
    with pytest.raises(BadArgument, match="not the one that the runs were evaluated on"):
        write_report(tmp_path, made_up.dataset(39))

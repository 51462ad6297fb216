import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import stats

from cnnjax.compare import read_results
from cnnjax.compare.results import ResultsDirectory
from cnnjax.data.augment import Cutout, RandomCrop
from cnnjax.errors import BadArgument, Failed
from cnnjax.report import page, write_report
from cnnjax.report.template import value_words
from cnnjax.train import SGD, Group, Recipe, TopK
from tests.compare import made_up
from tests.compare.made_up import row

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
    for line in rows:
        cells = dict(zip(header, (" ".join(cell.split()) for cell in line), strict=True))
        runs = [run for run in results["runs"] if run["network"] == cells["network"]]
        values = np.array([100 * run["test_accuracy"] for run in runs])
        assert cells["test accuracy, %"] == f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"
        assert cells["n"] == str(len(values))
        parameters, multiply_adds = made_up.NETWORKS[cells["network"]]
        assert cells["parameters"] == f"{parameters:,}"
        assert cells["multiply-adds"] == f"{multiply_adds:,}"
        seconds = np.mean([run["train_seconds"] for run in runs])
        assert cells["train s"] == f"{seconds:.1f}"


def test_the_table_of_differences_has_the_numbers_of_scipy(tmp_path):
    _, page, _ = page_of(tmp_path, seeds=5)
    header, *rows = page.tables["difference-table"]
    assert [" ".join(cell.split()) for cell in header] == [
        "network", "mean", "95 % interval", "p", "n",
    ]  # fmt: skip
    results = read_results(tmp_path)
    accuracy = {
        label: {r["seed"]: r["test_accuracy"] for r in results["runs"] if r["network"] == label}
        for label in made_up.NETWORKS
    }
    assert len(rows) == 2
    for name, mean, interval, p, n in ([" ".join(cell.split()) for cell in line] for line in rows):
        seeds = sorted(accuracy[name].keys() & accuracy["good"].keys())
        ours, best = ([accuracy[label][seed] for seed in seeds] for label in (name, "good"))
        test = stats.ttest_rel(ours, best)
        ends = test.confidence_interval(1 - 0.05 / 2)
        minus = lambda value: f"{100 * value:+.2f}".replace("-", "\N{MINUS SIGN}")
        assert mean == minus(np.mean(np.subtract(ours, best)))
        assert interval == f"{minus(ends.low)} to {minus(ends.high)}"
        expected = min(1, 2 * test.pvalue)
        assert p == ("< 0.001" if expected < 0.001 else f"{expected:.3f}")
        assert n == str(len(seeds))


def test_the_facts_at_the_top(tmp_path):
    _, page, _ = page_of(tmp_path)
    words = " ".join(" ".join(page.words).split())
    for fact in (
        "3 networks on toy,",
        "runs 8 + 1 failed",
        "seeds 0, 1, 2",
        "epochs each 4",
        "training images 90",
        "test images 40",
        # 1.5, 2.5 and 3.5 seconds, but seed 0 of "late".
        "training, all runs 21 s",
        "late, seed 0 , step 7 (epoch 1): the loss is nan at step 7",
        "90 train, 40 test, 10 validation",
        "6 \N{MULTIPLICATION SIGN} 6 \N{MULTIPLICATION SIGN} 1",
        "8.0 GiB",
        "python 3.11.0, jax 0.10.2",
        "10 % of the training images, stratified, never trained on",
        "mean 0.5000 , sd 0.2500",
    ):
        assert fact in words, fact


def test_the_strips_reach_from_the_least_to_the_largest_accuracy(tmp_path):
    assert page._strips([row("a", 0.5, 0.6), row("b", 0.9), row("failed")]) == {
        "a": [0.0, pytest.approx(0.25)], "b": [pytest.approx(1.0)], "failed": [],
    }  # fmt: skip
    assert page._strips([row("a", 0.5, 0.5)]) == {"a": [0.0, 0.0]}


def test_the_uncertainty_of_a_test_set_is_agresti_s_and_coull_s():
    """Theirs adds z^2 / 2 successes and failures; with z = 1.96 that is near 2."""
    z = stats.norm.ppf(0.975)
    p = (970 + z**2 / 2) / (1000 + z**2)
    half = 100 * z * math.sqrt(p * (1 - p) / (1000 + z**2))
    assert page._sampling(row("a", 0.97), 1000) == pytest.approx(half, rel=0.02)
    assert page._sampling(row("a", 1.0), 1000) > 0
    assert math.isnan(page._sampling(None, 1000))


def test_machines_are_counted_apart():
    other = {**made_up.HERE, "commit": None}
    runs = [made_up.run("a", 0), made_up.run("a", 1) | other, made_up.run("a", 2)]
    found = page._environments({"runs": runs, "failures": [made_up.failure("a", 3)]})
    assert [place["runs"] for place in found] == [3, 1]
    assert [place["commit"] is None for place in found] == [False, True]


NASTY = '<script>alert(1)</script>$a$ \u4e2d\u6587 {{ 7 * 7 }} "quoted" & \''


def test_text_from_outside_is_text_on_the_page(tmp_path):
    """Labels, classes, commands, errors, versions: nothing of them becomes markup or a program."""
    names = (NASTY, "</svg>", "$\\frac{$", "a$b$c")
    data = made_up.dataset(8, names)
    terms = made_up.shared(data)
    terms["data"] |= {"name": NASTY, "source": NASTY, "fingerprints": {
        "train": NASTY, "validation": NASTY, "test": data.fingerprint()}}  # fmt: skip
    terms["recipe"] |= {NASTY: NASTY}
    terms["hyper"] |= {NASTY: 1}
    labels = (NASTY, "$\\frac{$", "</style><b>x</b>")
    networks = {label: made_up.network(**{NASTY: NASTY}) for label in labels}
    here = {"versions": {NASTY: NASTY}, "commit": {"hash": NASTY, "dirty": True}}
    here["hardware"] = {**made_up.HERE["hardware"], "cpu": NASTY, "system": NASTY}
    here["hardware"]["devices"] = [NASTY]
    with ResultsDirectory.opened(tmp_path, terms, networks, NASTY) as out:
        for label in labels[:2]:
            arrays = made_up.arrays(data, wrong=[0, 1])
            filters = dict.fromkeys(("filters_before", "filters_after"), np.ones((3, 3, 1, 2)))
            out.add(made_up.run(label, 0, 0.75) | here, arrays | filters)
        out.fail(made_up.failure(labels[2], 0, error=NASTY) | here)
    text = write_report(tmp_path, data).read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "iframe"} & {tag for tag, _ in page.elements}
    assert "<script" not in text
    assert "{{" not in text.replace("{{ 7 * 7 }}", "")
    words = " ".join(page.words)
    for expected in (*labels, *names):
        assert expected in words
    assert not [name for _, a in page.elements for name in a if name.startswith("on")]


def test_a_page_that_cannot_be_made_leaves_the_earlier_one(tmp_path):
    data = made_up.write(tmp_path)
    path = write_report(tmp_path, data)
    before = path.read_bytes()
    (tmp_path / "runs" / "good-0.npz").write_bytes(b"x")
    with pytest.raises(Failed, match=r"good-0\.npz: damaged"):
        write_report(tmp_path, data)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_no_directory_is_made_for_a_page_without_results(tmp_path):
    with pytest.raises(BadArgument, match="there is no file"):
        write_report(tmp_path / "absent", made_up.dataset())
    assert not (tmp_path / "absent").exists()


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


def test_values_of_a_recipe_are_shown_as_they_are_written_in_python(tmp_path):
    recipe = Recipe(
        augment=(RandomCrop(4), Cutout(2)),
        optimizer=SGD(nesterov=False),
        metrics={"top5": TopK(5)},
        groups=(Group("head/*", 0.5),),
    )
    shown = {name: value_words(value) for name, value in recipe.to_dict().items()}
    assert shown == {
        "epochs": "10",
        "batch_size": "128",
        "augment": "RandomCrop(padding=4, border=zeros), Cutout(size=2)",
        "loss": "CrossEntropy()",
        "optimizer": "SGD(decay=kernels, clip_norm=none, nesterov=false)",
        "schedule": "OneCycle(warmup=0.2)",
        "metrics": "top5: TopK(k=5)",
        "average": "none",
        "groups": "Group(pattern=head/*, rate=0.5)",
        "microbatches": "1",
    }
    data = made_up.dataset()
    terms = made_up.shared(data) | {"recipe": recipe.to_dict() | {"epochs": 4}}
    with ResultsDirectory.opened(tmp_path, terms, {"a": made_up.network()}, "make it") as out:
        out.add(made_up.run("a", 0, 0.75), made_up.arrays(data, wrong=[0]))
    page = Page(write_report(tmp_path, data).read_text(encoding="utf-8"))
    assert set(shown.values()) - {"10"} <= set(page.words)

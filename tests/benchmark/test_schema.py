"""Whatever is damaged in a benchmark's results is said in one line, and left as it is."""

import copy
import io
import json

import pytest

from cnnjax.benchmark import results as module
from cnnjax.benchmark.results import Results
from cnnjax.benchmark.shown import print_results
from cnnjax.errors import BadArgument, Failed
from tests.benchmark.test_results import ABOUT, compiled, entry

MISSING = object()
INSTEAD = (
    MISSING,
    None,
    "text",
    [],
    {},
    -1,
    0,
    "1e400",
    "NaN",
    "Infinity",
    True,
    0.5,
    1e-320,
    2**70,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench")
    results = Results(path)
    results.enter("n b8 32px", ABOUT, "train", entry(ours=[1.0, 2.0], stock=[3.0]))
    results.enter("n b8 32px", ABOUT, "compile", compiled(peak_rss_bytes=9))
    results.enter("n b8 32px", ABOUT, "scan 8", entry(scan=[1.0], steps=[2.0]))
    return path


def places(tree, path=()):
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def with_one_change(tree, path, value):
    tree = copy.deepcopy(tree)
    branch = tree
    for key in path[:-1]:
        branch = branch[key]
    if value is MISSING:
        del branch[path[-1]]
    else:
        branch[path[-1]] = value
    return tree


def test_every_field_wrong_in_every_way(written, monkeypatch):
    """Each is read as it stands, where it is still sound, or refused; the file stays as it is."""
    file = written / "results.json"
    content = file.read_bytes()
    tree, refused, sound = json.loads(content), [], []
    monkeypatch.setattr(module, "versions", lambda: tree["versions"])
    monkeypatch.setattr(module, "hardware", lambda: tree["hardware"])
    texts = []
    for path in places(tree):
        for value in INSTEAD:
            text = json.dumps(with_one_change(tree, path, value))
            for number in ("1e400", "NaN", "Infinity"):
                text = text.replace(f'"{number}"', number)
            file.write_text(text)
            try:
                found = Results(written).content
                list(module.step_rows(found))
                list(module.compile_rows(found))
                module.geometric_means(found)
                sound.append((path, found == json.loads(text)))
            except (BadArgument, Failed) as error:
                refused.append(str(error))
            texts.append(file.read_text() == text)
    file.write_bytes(content)
    assert all(texts)
    assert len(refused) > 1000
    assert all(words.isprintable() for words in refused)
    assert all(unchanged for _, unchanged in sound)
    assert {path[0] for path, _ in sound} <= {"cases", "geometric_means"}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("train", "peers", "ours", "seconds"), [1.0, 0.0], "0"),
        (("train", "peers", "ours", "seconds"), [], "length"),
        (("train", "peers", "ours", "seconds"), [1.0, 2.0, 3.0], "different rounds"),
        (("train", "peers", "stock", "seconds"), [1.0, 2.0, 3.0], "different rounds"),
        (("train", "peers", "ours", "n"), 3, "different rounds"),
        (("train", "peers"), {}, "length"),
        (("train", "matmul_flops"), 0, "matmul_flops"),
        (("network",), "\x1b[2J", "network"),
        (("batch",), 0, "batch"),
        (("scan 0",), {}, "there is no mode 'scan 0'"),
        (("\x1b",), {}, r"there is no mode '\\x1b'"),
        (("compile", "peers", "ours", "cold"), {}, "lower_seconds"),
        (("forward",), {}, "forward: damaged"),
    ],
)
def test_what_is_wrong_is_named(written, path, value, words):
    file = written / "results.json"
    content = file.read_bytes()
    tree = with_one_change(json.loads(content), ("cases", "n b8 32px", *path), value)
    try:
        file.write_text(json.dumps(tree))
        with pytest.raises(Failed, match=words):
            Results(written)
    finally:
        file.write_bytes(content)


def test_a_number_that_is_none_is_not_written(written):
    before = (written / "results.json").read_bytes()
    results = Results(written)
    with pytest.raises(Failed, match="matmul_flops"):
        results.enter(
            "m b8 32px", ABOUT, "train", entry(ours=[1.0]) | {"matmul_flops": float("inf")}
        )
    assert (written / "results.json").read_bytes() == before


def test_reasons_are_printed_as_they_are(capsys):
    results = Results(None)
    words = "[red]no[/red] compiler [/x] \x1b[2J :smile:"
    given = entry(ours=[1.0]) | {"absent": {"torch": words}}
    results.enter("n b8 32px", ABOUT, "train", given)
    print_results(results.content)
    out = " ".join(capsys.readouterr().out.split())
    assert r"torch is absent ([red]no[/red] compiler [/x] \x1b[2J :smile:)" in out
    assert io.StringIO(out).read().count("\x1b") == 0

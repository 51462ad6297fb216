"""Whatever is damaged in results is said in one line, and left as it is."""

import copy
import io
import json
import zipfile

import numpy as np
import pytest
from rich.console import Console

from cnnjax.compare.results import ResultsDirectory, read_results
from cnnjax.errors import BadArgument, Failed
from cnnjax.report import print_tables, write_report
from tests.compare import made_up

DATA = made_up.dataset(4)
TERMS = made_up.shared(DATA, epochs=1)
NETWORKS = {"a": made_up.network(spec="x")}
MISSING = object()
INSTEAD = (MISSING, None, "text", [], {}, -1, "1e400", "NaN", "Infinity", True, 0.5, 2**70)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("results")
    with ResultsDirectory.opened(path, TERMS, NETWORKS, "again") as out:
        out.add(made_up.run("a", 0, epochs=1), made_up.arrays(DATA))
        out.fail(made_up.failure("a", 1))
    return path


def places(tree, path=()):
    """Every key and index of a tree, leaves and branches."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
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


def text_of(tree):
    """As JSON, with numbers that Python cannot hold, or JSON does not have, written out."""
    text = json.dumps(tree)
    for number in ("1e400", "NaN", "Infinity"):
        text = text.replace(f'"{number}"', number)
    return text


def test_every_field_wrong_in_every_way(directory):
    """Each is read as it stands, where it is still sound, or refused; and never written over."""
    file, content = directory / "results.json", (directory / "results.json").read_bytes()
    tree, refused, untouched, sound = json.loads(content), [], [], []
    try:
        for path in places(tree):
            for value in INSTEAD:
                text = text_of(with_one_change(tree, path, value))
                file.write_text(text)
                opening = ResultsDirectory.opened(directory, TERMS, NETWORKS, "again")
                try:
                    results = read_results(directory)
                    assert results == json.loads(text)
                    print_tables(results, Console(file=io.StringIO()))
                    with opening as out:
                        assert len(out.results["runs"]) == len(results["runs"])
                    sound.append(path)
                except (BadArgument, Failed) as error:
                    refused.append(str(error))
                    untouched.append(file.read_text() == text)
    finally:
        file.write_bytes(content)
    assert len(refused) > 1000
    assert all(words.isprintable() for words in refused)
    assert all(untouched)
    assert {("commands",), ("runs", 0, "versions"), ("runs", 0, "sha256")} <= set(sound)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("runs", 0, "seed"), "0", r"runs\[0\].seed"),
        (("runs", 0, "seed"), 2**32, r"runs\[0\].seed"),
        (("networks", "a", "parameters"), 2**63, "parameters"),
        (("runs", 0, "test_accuracy"), 1.01, "test_accuracy"),
        (("runs", 0, "test_accuracy"), None, "test_accuracy"),
        (("runs", 0, "network"), "b", r"runs\[0\] is of 'b'"),
        (("failures", 0, "seed"), 0, r"failures\[0\] or its file has another entry"),
        (("runs", 0, "arrays"), "../a-0.npz", "arrays"),
        (("runs", 0, "arrays"), "/etc/passwd", "arrays"),
        (("runs", 0, "arrays"), "runs/../../x.npz", "arrays"),
        (("runs", 0, "arrays"), "runs/a-0.npz\n", "arrays"),
        (("runs", 0, "arrays"), "runs/absent.npz", "there is no file"),
        (("runs", 0, "history"), [], "has no entry of history for each of the 1 epochs"),
        (("runs", 0, "history", 0, "epoch"), 2, "for each of the 1 epochs"),
        (("recipe", "epochs"), 2**62, "for each of the"),
        (("data", "mean"), [0.1, 0.2], "data.mean has not one number for each of 1 channels"),
        (("data", "std"), [], "data.std has not one number"),
        (("data", "sizes", "validation"), MISSING, "was evaluated on other sets"),
        (("data", "class_names"), ["cat"], "predicted"),
        (("data", "sizes", "test"), 5, "not what a run on 5 images leaves"),
        (("runs", 0, "sha256"), "0" * 64, "its SHA-256 is not that of its entry"),
        (("hyper", "learning_rate"), "fast", "hyper"),
    ],
)
def test_what_is_wrong_is_named(directory, path, value, words):
    file = directory / "results.json"
    content = file.read_bytes()
    text = json.dumps(with_one_change(json.loads(content), path, value))
    terms = {name: json.loads(text)[name] for name in ("data", "recipe", "hyper")}
    try:
        file.write_text(text)
        opening = ResultsDirectory.opened(directory, terms, NETWORKS, "another")
        with pytest.raises((BadArgument, Failed), match=words), opening:
            pass
        assert file.read_text() == text
    finally:
        file.write_bytes(content)


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def compressed(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


SOUND = made_up.arrays(DATA)
FILTERS = np.ones((3, 3, 1, 2))


def flipped(content):
    content = bytearray(content)
    content[-200] ^= 255
    return bytes(content)


def with_member(name, content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


HUGE = b"\x93NUMPY\x01\x00\x76\x00" + (
    b"{'descr': '<i4', 'fortran_order': False, 'shape': (9999999999999,), }".ljust(117) + b"\n"
)

DAMAGED = {
    "empty": b"",
    "no zip": b"x" * 999,
    "cut": npz(**SOUND)[:-30],
    "flipped": flipped(npz(**SOUND)),
    "nothing": npz(),
    "no confidence": npz(predicted=SOUND["predicted"]),
    "objects": npz(**SOUND | {"predicted": np.array([None] * 4)}),
    "floats": npz(**SOUND | {"predicted": np.zeros(4)}),
    "too few": npz(**SOUND | {"predicted": SOUND["predicted"][:3]}),
    "a column": npz(**SOUND | {"confidence": np.ones((4, 1))}),
    "no class": npz(**SOUND | {"predicted": np.full(4, 4)}),
    "below 0": npz(**SOUND | {"predicted": np.array([0, 1, -1, 2])}),
    "above 1": npz(**SOUND | {"confidence": np.full(4, 1.5)}),
    "NaN": npz(**SOUND | {"confidence": np.full(4, np.nan)}),
    "whole confidence": npz(**SOUND | {"confidence": np.ones(4, int)}),
    "another": npz(**SOUND, more=np.zeros(4)),
    "half of filters": npz(**SOUND, filters_after=FILTERS),
    "other filters": npz(**SOUND, filters_before=FILTERS, filters_after=FILTERS[1:]),
    "flat filters": npz(**SOUND, filters_before=FILTERS[0], filters_after=FILTERS[0]),
    "infinite": npz(**SOUND, filters_before=FILTERS, filters_after=FILTERS * np.inf),
    "whole filters": npz(**SOUND, filters_before=FILTERS > 0, filters_after=FILTERS > 0),
    "compressed": compressed(**SOUND | {"predicted": np.zeros(10**6, np.int32)}),
    "no array": with_member("predicted.npy", b"text"),
    "huge": with_member("predicted.npy", HUGE),
}


@pytest.mark.parametrize("digest", [True, False], ids=["with SHA-256", "of version 0.1.0"])
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_arrays_are_named_and_nothing_is_written(directory, content, digest):
    file, arrays = directory / "results.json", directory / "runs" / "a-0.npz"
    before, sound = file.read_bytes(), arrays.read_bytes()
    tree = json.loads(before)
    if not digest:
        del tree["runs"][0]["sha256"]
    text = json.dumps(tree)
    try:
        file.write_text(text)
        arrays.write_bytes(content)
        opening = ResultsDirectory.opened(directory, TERMS, NETWORKS, "another")
        with pytest.raises(Failed, match=r"a-0\.npz: damaged"), opening:
            pass
        with pytest.raises(Failed, match=r"a-0\.npz: damaged"):
            write_report(directory, DATA)
        assert file.read_text() == text
        assert arrays.read_bytes() == content
    finally:
        file.write_bytes(before)
        arrays.write_bytes(sound)


def test_results_of_version_0_1_0_are_read(directory, tmp_path):
    tree = json.loads((directory / "results.json").read_text())
    del tree["runs"][0]["sha256"]
    (tmp_path / "runs").mkdir()
    (tmp_path / "results.json").write_text(json.dumps(tree))
    filters = {"filters_before": FILTERS, "filters_after": 2 * FILTERS}
    (tmp_path / "runs" / "a-0.npz").write_bytes(npz(**SOUND, **filters))
    with ResultsDirectory.opened(tmp_path, TERMS, NETWORKS, "again") as out:
        found = out.arrays(out.results["runs"][0])
    for name, values in (SOUND | filters).items():
        np.testing.assert_array_equal(found[name], values)


def test_a_field_that_a_later_version_adds_is_kept(directory, tmp_path):
    tree = json.loads((directory / "results.json").read_text())
    tree["notes"], tree["failures"][0]["notes"] = "mine", [1]
    tree["networks"]["a"]["parameters"] = 2**63 - 1
    (tmp_path / "runs").mkdir()
    (tmp_path / "results.json").write_text(json.dumps(tree))
    (tmp_path / "runs" / "a-0.npz").write_bytes((directory / "runs" / "a-0.npz").read_bytes())
    with ResultsDirectory.opened(tmp_path, TERMS, tree["networks"], "again"):
        pass
    assert read_results(tmp_path) == tree

"""Which features of a dataset are its image and its label; and how TFDS is quoted."""

import socket
import sys
import types
import warnings

import numpy as np
import pytest

from cnnjax.data.features import find_features
from cnnjax.data.library import import_tfds, reason, silence
from cnnjax.errors import BadArgument, Failed


@pytest.fixture(scope="module")
def kinds():
    return pytest.importorskip("tensorflow_datasets").features


def builder(kinds, features, supervised=None):
    info = types.SimpleNamespace(
        full_name="made/1.0.0",
        features=kinds.FeaturesDict(features) if isinstance(features, dict) else features,
        supervised_keys=supervised,
    )
    return types.SimpleNamespace(info=info)


@pytest.mark.parametrize(
    ("supervised", "image", "label"),
    [
        (None, "image", "label"),
        ((), "image", "label"),
        (("photo", "kind"), "photo", "kind"),
        (("photo", "label"), "photo", "label"),
        (("text", "kind"), "image", "kind"),  # a text is no image
        ((("photo", "image"), "kind"), "image", "kind"),  # nested keys name none
    ],
)
def test_supervised_keys_come_first_then_the_usual_names(kinds, supervised, image, label):
    features = {
        "photo": kinds.Image(),
        "image": kinds.Image(),
        "kind": kinds.ClassLabel(names=["x"]),
        "label": kinds.ClassLabel(names=["y", "z"]),
        "text": kinds.Text(),
    }
    names = {"kind": ("x",), "label": ("y", "z")}
    assert find_features(builder(kinds, features, supervised)) == (image, label, names[label])


def test_other_names_and_no_names(kinds):
    features = {"photo": kinds.Image(), "kind": kinds.ClassLabel(num_classes=3)}
    assert find_features(builder(kinds, features)) == ("photo", "kind", ("0", "1", "2"))


@pytest.mark.parametrize("what", ["image", "class label", "both", "types"])
def test_what_is_missing_is_named(kinds, what):
    image, label = kinds.Image(), kinds.ClassLabel(names=["a"])
    if what == "types":
        deep = kinds.Image(shape=(4, 4, 1), dtype=np.uint16)
        with pytest.raises(
            BadArgument, match=r"images of 'made/1\.0\.0' are uint16; allowed is uint8"
        ):
            find_features(builder(kinds, {"image": deep, "label": label}))
        return
    given = {"image": {"label": label}, "class label": {"image": image}, "both": kinds.Text()}[what]
    missing = "image" if what == "both" else what
    shown = {"image": "label: ClassLabel", "class label": "image: Image", "both": "Text"}[what]
    with pytest.raises(BadArgument, match=rf"'made/1\.0\.0' has no {missing}; .*has {shown}"):
        find_features(builder(kinds, given))


def test_an_error_of_another_library_is_quoted_whole_but_not_endless():
    assert reason(ValueError("first\n\n  second\tthird ")) == "first second third"
    assert reason(KeyError()) == "KeyError"
    assert reason(ValueError("x" * 300)) == "x" * 300
    words = reason(ValueError("word " * 100))
    assert words.endswith("word ...")
    assert 290 < len(words) <= 304


def test_silence_is_kept_and_ended(capsys):
    logging = pytest.importorskip("absl.logging")
    before = logging.get_verbosity()
    with silence():
        print("to nobody")
        warnings.warn("to nobody", stacklevel=1)
        assert logging.get_verbosity() == logging.ERROR
    print("to somebody")
    assert logging.get_verbosity() == before
    assert capsys.readouterr() == ("to somebody\n", "")
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_on_a_terminal_progress_is_seen_beside_the_output(capsys, monkeypatch):
    import_tfds()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with silence():
        print("progress")
    assert capsys.readouterr() == ("", "progress\n")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(Failed, match=r"tensorflow-datasets: pip install 'cnnjax\[data\]'"):
        import_tfds()


@pytest.mark.parametrize(
    ("urls", "asked"),
    [
        (["https://one.example/x", "https://two.example"], [("one.example", 443)]),
        (["http://one.example:81/x"], [("one.example", 81)]),
        (["http://one.example"], [("one.example", 80)]),
        (["gs://bucket/x", "https://two.example/"], [("two.example", 443)]),
        (["file.zip"], []),
    ],
)
def test_the_first_host_is_asked_before_a_download(urls, asked, monkeypatch):
    from cnnjax.data.prepare import _check_network

    calls = []
    answer = types.SimpleNamespace(close=lambda: None)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(
        socket, "create_connection", lambda place, timeout: calls.append(place) or answer
    )
    _check_network(types.SimpleNamespace(url_infos=dict.fromkeys(urls)))
    assert calls == asked
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "proxy"})
    _check_network(types.SimpleNamespace(url_infos=dict.fromkeys(urls)))
    assert calls == asked  # a proxy resolves names itself

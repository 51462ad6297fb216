"""Pickles read as data: what Python's own unpickler gives for plain values, and nothing called."""

import io
import pickle

import pytest

from cnnjax.errors import Failed
from cnnjax.weights.read import pickles
from cnnjax.weights.read.pickles import MOST_STEPS, Made, Named, Stored, read_pickle

SHARED = ["once"]
PLAIN = {
    "numbers": [0, 1, 255, 256, 65535, 65536, -1, 2**31 - 1, 2**31, -(2**31), 2**200, -(2**2100)],
    "floats": [0.0, -1.5, 1e300, float("inf"), 5e-324],
    "constants": [None, True, False],
    "text": ["", "a", "\u00e9\u4e2d\U0001f600", "x" * 300, "quo'te\\ \n\t\x00"],
    "bytes": [b"", b"\x00\xff", b"b" * 300],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((1,), ((),))],
    "lists": [[], [1], list(range(2000))],
    "dictionaries": {"a": {}, "b": {1: 2, "c": [3]}, **{str(i): i for i in range(1500)}},
    "shared": [SHARED, SHARED, {"x": SHARED}],
    "many": [[i] for i in range(400)],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", PLAIN)
def test_plain_values_are_what_they_were(name, protocol):
    content = pickle.dumps(PLAIN[name], protocol)
    if protocol < 3 and name == "bytes":  # calls of _codecs.encode
        assert all(isinstance(each, Made) for each in read_pickle(io.BytesIO(content))[0][1:])
        return
    found, stored = read_pickle(io.BytesIO(content))
    assert found == PLAIN[name]
    assert [type(each) for each in found] == [type(each) for each in PLAIN[name]]
    assert stored == []


def test_what_is_shared_is_one():
    found, _ = read_pickle(io.BytesIO(pickle.dumps(PLAIN["shared"], 4)))
    assert found[0] is found[1] is found[2]["x"]
    inside: list = [1]
    inside.append(inside)
    found, _ = read_pickle(io.BytesIO(pickle.dumps(inside, 2)))
    assert found[0] == 1
    assert found[1] is found


TEXT = b"X\x01\x00\x00\x00"  # begins one character of text
BY_HAND = {
    "integers of protocol 0": (b"(I7\nI01\nL-9L\nl.", [7, True, -9]),
    "text of Python 2": (b"(S'a'\nU\x01bT\x01\x00\x00\x00cVd\nt.", ("a", "b", "c", "d")),
    "a dictionary from the mark": (b"(V1\nI2\nd.", {"1": 2}),
    "the memo by text": (b"I5\np0\nI6\ng0\n\x86.", (6, 5)),
    "the memo by byte and word": (b"K\x05q\x07K\x06r\x08\x00\x00\x00h\x07j\x08\x00\x00\x00\x87.",),
    "popped": (b"K\x01K\x020.", 1),
    "popped to the mark": (b"K\x01(K\x02K\x031.", 1),
    "a mark popped": (b"K\x01(0.", 1),
    "twice": (b"K\x012\x86.", (1, 1)),
    "a set": (b"\x80\x04\x8f(K\x01K\x02\x90.", [1, 2]),
    "a frozen set": (b"\x80\x04(K\x01K\x02\x91.", [1, 2]),
    "appended one by one": (b"]K\x01aK\x02a.", [1, 2]),
    "set one by one": (b"}K\x01K\x02s.", {1: 2}),
    "keys that hold others are dropped": (b"}(K\x01\x85K\x02K\x03K\x04u.", {3: 4}),
    "keys of 2^63 and more are dropped": (b"}\x8a\x09" + b"\0" * 7 + b"\x80\0K\x01s.", {}),
    "the largest key": (b"}\x8a\x08" + b"\xff" * 7 + b"\x7fK\x01s.", {2**63 - 1: 1}),
    "a long key is dropped": (b"}X\xe9\x03\0\0" + b"k" * 1001 + b"K\x01s.", {}),
    "the longest key": (b"}X\xe8\x03\0\0" + b"k" * 1000 + b"K\x01s.", {"k" * 1000: 1}),
}
BY_HAND["the memo by byte and word"] = (BY_HAND["the memo by byte and word"][0], (6, 5, 6))


@pytest.mark.parametrize("name", BY_HAND)
def test_every_operation_does_what_the_format_says(name):
    content, value = BY_HAND[name]
    found, _ = read_pickle(io.BytesIO(content))
    assert found == value
    assert type(found) is type(value)


CALLS = {
    "reduce": b"cos\nsystem\nVecho\n\x85R.",
    "new object": b"\x80\x02cos\nsystem\nVecho\n\x85\x81.",
    "new object with keywords": b"\x80\x04cos\nsystem\nVecho\n\x85}\x92.",
    "instance": b"(Vecho\nios\nsystem\n.",
    "object": b"(cos\nsystem\nVecho\no.",
    "by the stack": b"\x80\x04V" + b"os\nVsystem\n\x93Vecho\n\x85R.",
    "reconstructed": b"ccopyreg\n_reconstructor\ncos\nsystem\nVecho\n\x86R.",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_written_down_and_not_made(name, monkeypatch):
    monkeypatch.setattr("os.system", lambda command: pytest.fail("it ran"))
    found, _ = read_pickle(io.BytesIO(CALLS[name]))
    assert isinstance(found, Made)
    assert found.path == "os.system"
    assert found.arguments[-1] == "echo"


def test_what_an_object_is_given_is_kept():
    content = b"cargparse\nNamespace\n)R}(Vlr\nK\x01ub."
    found, _ = read_pickle(io.BytesIO(content))
    assert (found.path, found.arguments, found.state) == ("argparse.Namespace", (), {"lr": 1})
    items, _ = read_pickle(io.BytesIO(b"cmine\nDict\n)RVa\nK\x01s(Vb\nK\x02u."))
    assert items.items == {"a": 1, "b": 2}
    ordered, _ = read_pickle(io.BytesIO(b"ccollections\nOrderedDict\n)RVa\nK\x01s}Vx\nK\x02sb."))
    assert ordered == {"a": 1}
    pairs, _ = read_pickle(io.BytesIO(b"ccollections\nOrderedDict\n(lVa\nK\x01\x86a\x85R."))
    assert pairs == {"a": 1}
    name, _ = read_pickle(io.BytesIO(b"ca.b\nc\n."))
    assert isinstance(name, Named)
    assert name.path == "a.b.c"


def test_references_are_listed_in_order():
    found, stored = read_pickle(io.BytesIO(b"\x80\x02(K\x05QK\x06Qt."))
    assert [each.identifier for each in stored] == [5, 6]
    assert [type(each) for each in found] == [Stored, Stored]
    assert list(found) == stored


def test_a_pickle_is_read_to_its_end_and_no_further():
    stream = io.BytesIO(pickle.dumps("first", 2) + pickle.dumps([2], 4) + b"rest")
    assert [read_pickle(stream)[0], read_pickle(stream)[0]] == ["first", [2]]
    assert stream.read() == b"rest"


DAMAGED = {
    "empty": b"",
    "cut off": pickle.dumps({"a": [1, 2]}, 4)[:-1],
    "nothing on the stack": b".",
    "too few on the stack": b"K\x01\x86.",
    "nothing below the mark": b"K\x01(0\x86.",
    "no mark": b"K\x01t.",
    "an empty memo": b"h\x01.",
    "no operation": b"\xff.",
    "a call of what is no tuple": b"cos\nsystem\nVecho\nR.",
    "items for a list": b"]K\x01K\x02s.",
    "a name of numbers": b"\x80\x04K\x01K\x02\x93.",
    "an odd number of items": b"}(K\x01u.",
    "an extension": b"\x80\x02\x82\x01.",
    "a buffer out of band": b"\x80\x05\x97.",
    "a reference by text": b"P5\n.",
    "text that is none": b"X\x01\x00\x00\x00\xff.",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_pickles_are_refused(name):
    with pytest.raises(Failed, match="its pickle is damaged"):
        read_pickle(io.BytesIO(DAMAGED[name]))


def test_the_number_of_steps_is_bounded(monkeypatch):
    assert 10**6 <= MOST_STEPS <= 10**7
    monkeypatch.setattr(pickles, "MOST_STEPS", 1_000)
    for count, fits in ((999, True), (1_000, True), (1_001, False)):
        content = b"(" + b"N" * (count - 2) + b"l" + b"."  # one step more than `count`
        if fits:
            assert read_pickle(io.BytesIO(content))[0] == [None] * (count - 2)
        else:
            with pytest.raises(Failed, match=r"more than 1,000 steps"):
                read_pickle(io.BytesIO(content))

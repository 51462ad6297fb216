"""How wrong names and numbers are worded."""

import numpy as np
import pytest

from cnnjax.errors import BadArgument, Failed, bounded, missing_extra, unknown
from cnnjax.models import MODELS


@pytest.mark.parametrize(
    ("name", "allowed", "guesses"),
    [
        # What goes on where the name ends comes before what is spelled alike.
        ("resnet20", ["resnet200", "resnet20_cifar", "resnet10"], ["resnet20_cifar", "resnet200"]),
        ("wrn", ["wrn_a_b", "wrn_a", "wrna"], ["wrn_a", "wrn_a_b", "wrna"]),
        ("RESNET18", ["resnet18", "vgg"], ["resnet18"]),
        ("LeNet5", ["lenet5_cifar", "lenet5"], ["lenet5", "lenet5_cifar"]),
        ("tset", ["test", "train"], ["test"]),
        ("SAMME", ["SAME", "VALID"], ["SAME"]),
        ("xyz", ["resnet18", "vgg"], []),
        ("", ["_a", "b"], []),
    ],
)
def test_the_nearest_names_come_first(name, allowed, guesses):
    text = str(unknown("argument", name, allowed))
    start = f"argument: unknown name {name!r};"
    if guesses:
        start += f" did you mean {' or '.join(map(repr, guesses[:3]))}"
        assert text.startswith((f"{start}?", f"{start} or"))
    else:
        assert text.startswith(f"{start} (allowed")
    assert text.endswith(f"(allowed: {', '.join(sorted(allowed))})")


@pytest.mark.parametrize("name", ["resnet20", "wrn28_10", "densenet_bc40_12", "lenet"])
def test_networks_for_small_images_are_found_by_their_first_part(name):
    (first, *_) = str(unknown("network", name, MODELS)).split("did you mean ")[1].split(" or ")
    assert first.strip("'").partition("'")[0].startswith(name)
    assert first.strip("'").partition("'")[0] in MODELS


def test_at_most_three_guesses_and_no_page_of_names():
    text = str(unknown("network", "resnet", [f"resnet_{number}" for number in range(25)]))
    assert text.count(" or ") == 2
    assert text.endswith(", ... 25)")
    assert text.count("resnet_") == 3 + 8
    assert str(unknown("x", "q", map(str, range(24)))).count(",") == 23


def test_numbers_inside_their_range_are_given_back():
    assert [bounded("x", value, 1, 3) for value in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize("value", [0, 4, -1, 10**20, 1.0, True, "2", None, np.float64(2)])
def test_numbers_outside_their_range_are_worded(value):
    with pytest.raises(BadArgument) as error:
        bounded("x", value, 1, 3)
    assert str(error.value) == f"x: received {value!r}, allowed: integers from 1 to 3"


def test_an_extra_is_named():
    error = missing_extra("pillow", "data")
    assert isinstance(error, Failed)
    assert str(error) == "this needs the package pillow: pip install 'cnnjax[data]'"

import pytest

from cnnjax.benchmark.case import Case, Cost, cost
from cnnjax.errors import BadArgument
from cnnjax.models import build, facts_of


def test_a_case_knows_its_images_and_counts():
    case = Case("resnet20_cifar", 4)
    assert case.image_shape == (32, 32, 3)
    counted = cost(case)
    assert counted.parameters == facts_of("resnet20_cifar").parameters
    # 40.55 million multiply-adds an image (reference table), two operations each.
    assert counted.operations(case, "forward") == pytest.approx(4 * 2 * 40.55e6, rel=1e-3)
    assert counted.operations(case, "train") == 3 * counted.operations(case, "forward")


def test_another_image_size_costs_more():
    small, large = (cost(Case("resnet20_cifar", 1, size)) for size in (32, 64))
    assert isinstance(small, Cost)
    assert large.parameters == small.parameters
    assert large.multiply_adds == pytest.approx(4 * small.multiply_adds, rel=1e-3)


def test_a_case_of_a_module():
    case = Case(build("lenet5", num_classes=3), 4, 28, 1, "mine")
    assert (case.label, case.image_shape) == ("mine b4 28px", (28, 28, 1))
    assert case.model is case.network
    assert cost(case).parameters == facts_of("lenet5").parameters - 7 * 85
    assert Case("lenet5", 4, channels=3).image_shape == (28, 28, 3)
    assert Case(build("resnet8_cifar"), 1, 8, name="x").channels == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("resnet20_cifr", 1), "resnet20_cifar"),
        ((build("lenet5"), 1, 28), "name: received '' for a module"),
        ((build("lenet5"), 1, 28, 1, "a b"), "name: received 'a b' for a module"),
        ((build("lenet5"), 1, 0, 1, "a"), "image_size: received 0"),
        (("lenet5", 1, 28, -1), "channels"),
        (("lenet5", 0), "batch"),
        (("lenet5", 1, -3), "image_size"),
        (("lenet5", -1), "batch"),
        (("lenet5", 10**10), "batch: received 10000000000, allowed: integers from 1 to 1048576"),
        (
            ("lenet5", 1, 10**10),
            "image_size: received 10000000000, allowed: integers from 1 to 16384",
        ),
    ],
)
def test_bad_cases(arguments, named):
    with pytest.raises(BadArgument, match=named):
        Case(*arguments)

import pytest

from cnnjax.benchmark.case import Case, Cost, cost
from cnnjax.errors import BadArgument
from cnnjax.models import MODELS


def test_a_case_knows_its_images_and_counts():
    case = Case("resnet20_cifar", 4)
    assert case.image_shape == (32, 32, 3)
    counted = cost(case)
    assert counted.parameters == MODELS["resnet20_cifar"].parameters
    # 40.55 million multiply-adds an image (reference table), two operations each.
    assert counted.operations(case, "forward") == pytest.approx(4 * 2 * 40.55e6, rel=1e-3)
    assert counted.operations(case, "train") == 3 * counted.operations(case, "forward")


def test_another_image_size_costs_more():
    small, large = (cost(Case("resnet20_cifar", 1, size)) for size in (32, 64))
    assert isinstance(small, Cost)
    assert large.parameters == small.parameters
    assert large.multiply_adds == pytest.approx(4 * small.multiply_adds, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("resnet20_cifr", 1), "resnet20_cifar"),
        (("lenet5", 0), "batch"),
        (("lenet5", 1, -3), "image_size"),
        (("lenet5", -1), "batch"),
        (("lenet5", 10**10), r"batch: got 10000000000; it must be in 1..1048576"),
        (("lenet5", 1, 10**10), r"image_size: got 10000000000; it must be in 1..16384"),
    ],
)
def test_bad_cases(arguments, named):
    with pytest.raises(BadArgument, match=named):
        Case(*arguments)

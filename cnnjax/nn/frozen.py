"""Parts of a network that run as in evaluation while the rest is trained."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flax import linen as nn

__all__ = ["evaluating"]


@contextlib.contextmanager
def evaluating(modules: Sequence[tuple[str, ...]]) -> Iterator[None]:
    """Run modules and all inside of them as in evaluation, whatever they are called with.

    Norms then use their running statistics, which stay, and nothing is dropped.

    Args:
        modules: their paths, such as `("layer1_0", "bn1")`; those of the submodules' names.
    """
    chosen = set(modules)

    def intercept(call: Callable[..., Any], args: Any, kwargs: dict[str, Any], context: Any) -> Any:
        module, path = context.module, context.module.path
        if context.method_name != "__call__" or not any(
            path[:length] in chosen for length in range(1, len(path) + 1)
        ):
            return call(*args, **kwargs)
        if "train" in kwargs:
            return call(*args, **{**kwargs, "train": False})
        # Flax's own norm and dropout are told by a field instead.
        for kind, field in ((nn.BatchNorm, "use_running_average"), (nn.Dropout, "deterministic")):
            if isinstance(module, kind):
                if field in kwargs:
                    kwargs = {**kwargs, field: True}
                else:
                    object.__setattr__(module, field, True)
        return call(*args, **kwargs)

    with nn.intercept_methods(intercept):
        yield

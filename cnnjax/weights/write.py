"""Write variables as a safetensors file that PyTorch's model zoos read."""

import os
import tempfile
from pathlib import Path

from cnnjax.errors import BadArgument
from cnnjax.typing import Variables
from cnnjax.weights.torch_names import to_state_dict

__all__ = ["save_weights"]


def save_weights(variables: Variables, path: str | Path) -> None:
    """Write `variables` under torch names and in torch layout, complete or not at all.

    `load_state_dict(safetensors.torch.load_file(path))` reads the file in PyTorch, strictly; the
    counters `num_batches_tracked`, which have no meaning here, are left out and it adds them.
    Raises `BadArgument` where `path` does not end in `.safetensors`.
    """
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise BadArgument(f"path is {str(path)!r}; it must end in .safetensors")
    data = save(to_state_dict(variables), metadata={"format": "pt"})
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
        try:
            file.write(data)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise

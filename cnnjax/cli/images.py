"""The options that say which images a command learns from and judges by, which several share."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from cnnjax.cli.arguments import metavar, option
from cnnjax.data import Splits, load_splits
from cnnjax.terminal import tell

__all__ = ["Images", "SharedImages"]


@dataclasses.dataclass(frozen=True)
class Images:
    """Which images to learn from, and which to be judged by.

    Attributes:
        data: mnist5k, digits, any name that TFDS knows, folder:PATH or list:FILE; NAME[:5000] and
            NAME[:5000,stratified] are parts of what is trained on.
        train_split: what to train on, such as 'train[:1000]'; by default train.
        test_split: what to test on; by default test, else validation, else a fifth of train.
        resize: side of the images in pixels, all then square; of the longer side the middle is
            kept, with :squash or :pad all. By default they stay as they are.
        data_dir: where prepared datasets are, else TFDS_DATA_DIR.
    """

    data: Annotated[str, metavar("NAME")]
    train_split: Annotated[str | None, option("SPLIT")] = None
    test_split: Annotated[str | None, option("SPLIT")] = None
    resize: Annotated[str | None, option("PIXELS[:MODE]")] = None
    data_dir: Annotated[Path | None, option("DIR")] = None

    def splits(self) -> Splits:
        """Read them, and say on standard error what is odd about them."""
        found = load_splits(
            self.data,
            self.data_dir,
            train_split=self.train_split,
            test_split=self.test_split,
            resize=self.resize,
        )
        tell(found.note)
        return found


SharedImages = Annotated[Images, tyro.conf.OmitArgPrefixes]
"""The annotation of a command's argument that has all these options."""

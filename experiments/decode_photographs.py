"""How fast do folders of photographs become arrays?

Question. A folder of JPEGs has to be decoded and resized to 224 pixels before a network learns from
it. What do threads bring against the plain loop that everybody writes, and what does keeping the
pixels bring the second time?

Methods. "loop": Pillow in a loop, opened, turned to RGB, its shorter side resized and the middle
cut out. "draft": the same, but the decoder is asked for half, a quarter or an eighth of the size
where that suffices. "first": `cnnjax.data.from_folder` where nothing is kept, which also finds the
files and their sizes, hashes every image and writes the pixels. "again": the same once more.

Evaluation. Images a second over files that lie in memory: parts of scikit-learn's two photographs,
enlarged to 500x375 (ImageNet's usual size) or 2000x1500, JPEG of quality 90. In every round each
method has its turn; ratios are of the same round. "draft" also says by how many gray levels its
images differ from the loop's, on average.

    python experiments/decode_photographs.py --out runs/decode
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from cnnjax.data import from_folder
from cnnjax.records import Experiment
from cnnjax.terminal import print_table

PIXELS = 224
SIZES = {"500x375": (500, 375), "2000x1500": (2000, 1500)}


def write_photographs(root: Path, number: int, size: tuple[int, int]) -> list[Path]:
    """Write parts of the two photographs as JPEGs in two classes and return their paths."""
    draw = np.random.default_rng(0)
    paths = []
    for index in range(number):
        photograph = load_sample_images().images[index % 2]
        top, left = draw.integers(0, 100), draw.integers(0, 140)
        part = Image.fromarray(photograph[top : top + 320, left : left + 480])
        path = root / ("palace", "flower")[index % 2] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(path)
    return paths


def loop(paths: Iterable[Path], draft: bool) -> np.ndarray:
    """Return the images `[N, 224, 224, 3]` as Pillow alone makes them."""
    images = []
    for path in paths:
        with Image.open(path) as file:
            if draft:
                file.draft("RGB", (PIXELS, PIXELS))
            picture = file.convert("RGB")
        fitted = ImageOps.fit(picture, (PIXELS, PIXELS), Image.Resampling.BICUBIC)
        images.append(np.asarray(fitted))
    return np.stack(images)


def timed(work: Callable[[], object], number: int) -> float:
    """Return images a second."""
    start = time.perf_counter()
    work()
    return number / (time.perf_counter() - start)


def measure(size: tuple[int, int], number: int, rounds: int) -> dict[str, list[float]]:
    """Return images a second of every method in every round."""
    found: dict[str, list[float]] = {"loop": [], "draft": [], "first": [], "again": []}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "photographs"
        paths = write_photographs(root, number, size)
        for turn in range(rounds):
            os.environ["CNNJAX_CACHE_DIR"] = f"{directory}/{turn}"
            found["loop"].append(timed(lambda: loop(paths, False), number))
            found["first"].append(timed(lambda: from_folder(root, resize=PIXELS), number))
            found["draft"].append(timed(lambda: loop(paths, True), number))
            found["again"].append(timed(lambda: from_folder(root, resize=PIXELS).images, number))
        exact, rough = (loop(paths[:20], draft).astype(int) for draft in (False, True))
    found["draft_differs_by"] = [float(np.abs(exact - rough).mean())]
    return found


def main() -> int:
    """Measure all sizes, write results.json, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the results")
    parser.add_argument("--images", type=int, default=200, help="files (of the larger: a quarter)")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    settings = {"images": arguments.images, "rounds": arguments.rounds, "pixels": PIXELS}
    rows = []
    with Experiment.opened(arguments.out, settings) as experiment:
        for name, size in SIZES.items():
            number = arguments.images // (1 if size[0] < 1000 else 4)
            found = experiment.remembered(
                name, lambda s=size, n=number: measure(s, n, arguments.rounds)
            )
            for method in ("loop", "draft", "first", "again"):
                ratios = np.array(found[method]) / np.array(found["loop"])
                rows.append(
                    [
                        name,
                        method,
                        f"{statistics.median(found[method]):,.0f}",
                        f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})",
                    ]
                )
            differs = found["draft_differs_by"][0]
            print(f"{name}: a draft differs by {differs:.2f} gray levels on average")
        print_table(["photographs", "method", ">images/s", ">times the loop"], rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What does structure buy on 5,000 digits? Seven small networks, three seeds, one recipe.

Question. How much of the accuracy on a small set of images comes from convolution, from
normalization, from residual connections and from depthwise-separable filters, and at what cost?

Data. `mnist5k`: 5,000 digits of MNIST, 4,000 to train with and 1,000 to test. A tenth of the
training images (400, stratified) is held out for the learning curves and never trained on.

Networks. A perceptron without convolution; LeNet-5 as published in 1998; a plain convolutional
network of modern parts, then the same with batch normalization; the same without pooling,
its strides in the convolutions; a network of depthwise-separable convolutions; a residual network.

Training. The same for all: the recipe below, the same order of images for the same seed. Learning
rate and optimizer were chosen with seed 0 on the held-out images, among SGD with 0.05 and 0.15 and
AdamW with 0.003 and 0.01: the best on average over LeNet-5, plain with norm, separable and a larger
residual network.

Evaluation. Accuracy on the test set, once per run, after the last step. Nothing is selected on it.

    python experiments/compare_architectures.py --out runs/compare
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from cnnjax.compare import compare, parse_contestants
from cnnjax.data import load, prepare
from cnnjax.data.augment import RandomCrop
from cnnjax.errors import BadArgument, Failed
from cnnjax.records import command_line
from cnnjax.report import check_packages, print_tables, write_report
from cnnjax.runtime import enable_cache, use_huge_pages
from cnnjax.terminal import console
from cnnjax.train import AdamW, Hyper, Recipe, show_progress

DATA = "mnist5k"

NETWORKS = {
    "perceptron": "cnn:spec=fc128-relu",
    "lenet5": "lenet5",
    "plain": "cnn:spec=conv8-relu-pool-conv16-relu-pool-fc64-relu",
    "plain + norm": "cnn:spec=conv8-bn-relu-pool-conv16-bn-relu-pool-fc64-relu",
    "strided": "cnn:spec=conv8s2-bn-relu-conv16s2-bn-relu-fc64-relu",
    "separable": (
        "cnn:spec=conv16-bn-relu-pool-dwconv-bn-relu-conv32k1-bn-relu-pool-"
        "dwconv-bn-relu-conv64k1-bn-relu-gap"
    ),
    # Without the stage at 28x28, which would take longer than all other networks together.
    "residual": "resnet8_cifar:depths=(0,1,1),width=8,stem=8",
}

# AdamW decays the update and not the gradient, hence a larger number than SGD's usual 5e-4.
RECIPE = Recipe(epochs=6, batch_size=32, optimizer=AdamW(), augment=(RandomCrop(2),))
HYPER = Hyper(learning_rate=0.01, momentum=0.9, weight_decay=0.05)
SEEDS = range(3)


def main() -> int:
    """Run what is missing, write the report, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the results")
    parser.add_argument("--data-dir", type=Path, help="where data sets are prepared")
    parser.add_argument("--quick", action="store_true", help="one epoch: to see that it works")
    arguments = parser.parse_args()
    use_huge_pages()
    enable_cache()

    check_packages()
    recipe = dataclasses.replace(RECIPE, epochs=1) if arguments.quick else RECIPE
    contestants = parse_contestants([f"{k}={v}" for k, v in NETWORKS.items()])
    train_set = load(DATA, "train", arguments.data_dir)
    test_set = load(DATA, "test", arguments.data_dir)
    results = compare(
        contestants,
        train_set,
        test_set,
        recipe,
        HYPER,
        seeds=SEEDS,
        out=arguments.out,
        validation=0.1,
        source=prepare(DATA, arguments.data_dir).info.full_name,
        command=command_line(),
        show_run=show_progress,
    )
    report = write_report(arguments.out, test_set)
    print_tables(results, console())
    print(f"{report} shows them")
    return 1 if results["failures"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BadArgument, Failed) as error:
        print(f"compare_architectures: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, BadArgument) else 1)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is saved", file=sys.stderr)
        sys.exit(130)

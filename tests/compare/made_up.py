"""Results of runs that nobody trained, for the tests of what is made from results."""

import math

import numpy as np

from cnnjax.compare.results import ResultsDirectory
from cnnjax.compare.verdict import Difference, Row
from cnnjax.data import Dataset

NETWORKS = {"good": (60_000, 400_000), "<b>bad & long</b>": (5_000, 90_000), "late": (9, 10)}

HERE = {
    "versions": {"python": "3.11.0", "jax": "0.10.2"},
    "commit": {"hash": "0123456789abcdef" * 2 + "01234567", "dirty": True},
    "hardware": {
        "cpu": "a processor",
        "cores": 2,
        "memory_bytes": 2**33,
        "devices": ["cpu: cpu"],
        "system": "Linux",
        "glibc_tunables": "",
    },
}


def dataset(size=40, class_names=("cat", "dog", "owl", "eel")):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (size, 6, 6, 1)).astype(np.uint8)
    labels = np.arange(size, dtype=np.int32) % len(class_names)
    return Dataset("toy", "test", images, labels, class_names)


def shared(data=None, *, epochs=4, validation=True):
    """What runs on a made-up data set share."""
    data = data or dataset()
    sizes = {"train": 90, "test": len(data)} | ({"validation": 10} if validation else {})
    return {
        "data": {
            "name": "toy",
            "source": "toy/1.0.0",
            "image_shape": [6, 6, 1],
            "class_names": list(data.class_names),
            "validation_fraction": 0.1 if validation else 0,
            "sizes": sizes,
            "fingerprints": {name: name * 3 for name in sizes} | {"test": data.fingerprint()},
            "mean": [0.5],
            "std": [0.25],
        },
        "recipe": {"epochs": epochs, "batch_size": 8, "flip": False, "clip_norm": None},
        "hyper": {"learning_rate": 0.05},
    }


def network(parameters=9, multiply_adds=10, **fields):
    return {
        "argument": "cnn",
        "model": "cnn",
        "fields": fields,
        "definition": {"SpecNetwork": {"spec": "conv2", **fields}},
        "parameters": parameters,
        "batch_statistics": 0,
        "multiply_adds": multiply_adds,
    }


def run(label, seed, accuracy=0.5, *, epochs=4, validation=True, **more):
    validated = lambda epoch: {"validation_loss": 3 / epoch, "validation_accuracy": 0.25 * epoch}
    history = [
        {
            "epoch": epoch,
            "train_loss": 2 / epoch,
            "train_accuracy": 0.2 * epoch,
            "seconds": 0.5,
            "images_per_second": 180.0,
        }
        | (validated(epoch) if validation else {})
        for epoch in range(1, epochs + 1)
    ]
    entry = {
        "network": label,
        "seed": seed,
        "test_accuracy": accuracy,
        "test_loss": 1.0,
        "history": history,
        "train_seconds": 1.5 + seed,
        "compile_seconds": 4.0 if seed == 0 else 0.25,
        "finished": "2026-01-02T03:04:05+00:00",
        "parameters": 9,
        "multiply_adds": 10,
    }
    return entry | HERE | more


def failure(label, seed, **more):
    where = {"step": 7, "epoch": 1, "error": "the loss is nan at step 7"}
    return {"network": label, "seed": seed, **where, **HERE, **more}


def arrays(data, *, wrong=(), confidence=None):
    """The arrays of a run that took each image of `wrong` for the next class."""
    taken = data.labels + np.isin(np.arange(len(data)), wrong)
    confidence = np.full(len(data), 0.5) if confidence is None else confidence
    return {"predicted": (taken % data.num_classes).astype(np.int32), "confidence": confidence}


def row(network, *accuracy, seeds=None, multiply_adds=100, failed=0):
    seeds = tuple(range(len(accuracy))) if seeds is None else seeds
    return Row(network, 1000, multiply_adds, seeds, np.array(accuracy), 1.0, 2.0, failed)


def write(path, *, seeds=3, failures=(("late", 0),), validation=True, networks=None):
    """Write results of every network and seed but the failures; return the test set."""
    networks = networks or NETWORKS
    data, random = dataset(), np.random.default_rng(1)
    defined = {label: network(*cost) for label, cost in networks.items()}
    terms = shared(data, validation=validation)
    with ResultsDirectory.opened(path, terms, defined, "cnnjax compare x --out 'a b'") as out:
        for label, cost in networks.items():
            for seed in range(seeds):
                if (label, seed) in failures or (label, None) in failures:
                    out.fail(failure(label, seed))
                    continue
                share = 0.1 if label == next(iter(networks)) else 0.4
                wrong = np.flatnonzero(random.random(len(data)) < share)
                accuracy = 1 - len(wrong) / len(data)
                costs = dict(zip(("parameters", "multiply_adds"), cost, strict=True))
                entry = run(label, seed, accuracy, validation=validation, **costs)
                found = arrays(data, wrong=wrong, confidence=random.random(len(data)))
                if label == next(iter(networks)):
                    filters = random.normal(size=(2, 5, 5, 1, 6))
                    found |= {"filters_before": filters[0], "filters_after": filters[1]}
                out.add(
                    entry | dict(zip(("parameters", "multiply_adds"), cost, strict=True)), found
                )
    return data


def rows(*given):
    """Rows in the order of `rows_of`: the most accurate first."""
    return sorted(given, key=lambda each: -each.mean if each.n else math.inf)


def accuracies(results, label):
    """Of the finished runs of a network, `[n]`."""
    return np.array([r["test_accuracy"] for r in results["runs"] if r["network"] == label])


def difference(network, mean, half=None, n=3):
    """A difference with an interval of that half width."""
    ends = (math.nan, math.nan) if half is None else (mean - half, mean + half)
    p = math.nan if half is None else (0.01 if abs(mean) > half else 0.2)
    return Difference(network, "best", n, mean, *ends, p)

"""What a Python user would write: the network and loss of Loc2Vec in PyTorch, timed on the mini-batches that are given.

Reads a line of JSON on stdin: {"tiles": path of uint8 [120, 12, 128, 128], "triplets": [[anchor, positive, negative] of 120 rows],
"layers": the network's, "dropout": {"input", "conv", "dense"}, "steps": n, "repeats": n}. Prints JSON: steps per second by
precision, as it is and compiled, the count of parameters, running statistics included as Keras does, the losses of the
first steps and peak memory; and why it was not compiled, where it was not.
"""
import json
import os
import time

import numpy as np
import torch
from task import peak_rss_mb, read_task
from torch import nn

task = read_task()
device = "cuda" if torch.cuda.is_available() else "cpu"
# By itself it takes one thread for each core of a CPU, where TensorFlow takes one for each that the system counts.
torch.set_num_threads(len(os.sched_getaffinity(0)))
triplets = torch.tensor(task["triplets"], device=device)
tiles = torch.from_numpy(np.fromfile(task["tiles"], np.uint8).reshape(-1, 12, 128, 128))
tiles = tiles.to(device).contiguous(memory_format=torch.channels_last)


def followed(spec, channels, image):
    """A layer's normalization and activation. Keras's momentum of 0.99 is PyTorch's of 0.01."""
    norm = nn.BatchNorm2d if image else nn.BatchNorm1d
    if spec["normalization"] == "batch":
        yield norm(channels, eps=1e-3, momentum=0.01)
    if spec["activation"] == "leaky relu":
        yield nn.LeakyReLU(0.3, inplace=True)


def network(specs, rates, channels=12, pixels=128):
    """Dropout follows each layer with a kernel but the last, and the pooling after it."""
    modules, due = [nn.Dropout2d(rates["input"])], None
    for spec in specs:
        kind = spec["kind"]
        if due is not None and kind != "pool":
            modules.append(due)
            due = None
        bias = spec.get("normalization") == "none"
        if kind == "conv":
            modules.append(nn.Conv2d(channels, spec["filters"], spec["size"], padding="same", bias=bias))
            channels, due = spec["filters"], nn.Dropout2d(rates["conv"])
        elif kind == "pool":
            modules.append(nn.MaxPool2d(2))
            pixels //= 2
        elif kind == "flatten":
            modules.append(nn.Flatten())
            channels *= pixels**2
        elif kind == "dense":
            modules.append(nn.Linear(channels, spec["units"], bias=bias))
            channels, due = spec["units"], nn.Dropout(rates["dense"])
        else:
            raise ValueError(f"no layer of kind {kind} here")
        if "normalization" in spec:
            modules.extend(followed(spec, channels, kind == "conv"))
    return nn.Sequential(*modules)


def soft_pn(vectors):
    def distance(a, b):
        return torch.sqrt((a - b).square().sum(1) + 1e-12)

    anchor, positive, negative = (vectors[triplets[:, i]] for i in range(3))
    near = distance(anchor, positive)
    far = torch.minimum(distance(anchor, negative), distance(positive, negative))
    return torch.sigmoid(near - far).square().mean()


def make():
    torch.manual_seed(0)
    model = network(task["layers"], task["dropout"]).to(device, memory_format=torch.channels_last)
    return model.train()


def timed(mixed, compiled):
    model = make()
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            vectors = forward(tiles.float().div_(255))
        loss = soft_pn(vectors.float())
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    first = step()
    for _ in range(2):
        step()
    rates = []
    for _ in range(task["repeats"]):
        begin = time.perf_counter()
        for _ in range(task["steps"]):
            step()
        rates.append(task["steps"] / (time.perf_counter() - begin))
    return first, sorted(rates)[len(rates) // 2]


model = make()
report = {
    "torch": torch.__version__,
    "device": device,
    "parameters": sum(p.numel() for p in model.parameters())
    + sum(b.numel() for b in model.buffers() if b.is_floating_point()),
    "threads": torch.get_num_threads(),
}
for name, mixed in (("float32", False), ("mixed", True)):
    report[f"{name}_first_loss"], report[f"{name}_steps_per_s"] = timed(mixed, False)
for name, mixed in (("float32", False), ("mixed", True)):
    try:
        _, report[f"compiled_{name}_steps_per_s"] = timed(mixed, True)
    except Exception as error:  # It needs a compiler of C++, among others.
        report["not_compiled"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
report["peak_rss_mb"] = peak_rss_mb()
print(json.dumps(report))

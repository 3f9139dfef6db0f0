"""Reads a data set and embeddings with zarr and with tensorstore, compares them, and prints what they hold as JSON."""
import hashlib
import json
import sys

import numpy
import tensorstore
import zarr

folder = sys.argv[1]
group = zarr.open_group(folder, mode="r", zarr_format=3)
found = {"attributes": dict(group.attrs), "arrays": {}}
for name in ["tiles", "lon", "lat", "kind", "rotation", "offset"]:
    values = group[name][...]
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/{name}/"}}
    other = tensorstore.open(spec, read=True).result().read().result()
    assert numpy.array_equal(values, other), f"zarr and tensorstore differ in {name}"
    found["arrays"][name] = {
        "shape": list(values.shape),
        "dtype": str(values.dtype),
        "sha256": hashlib.sha256(numpy.ascontiguousarray(values).tobytes()).hexdigest(),
    }
print(json.dumps(found))

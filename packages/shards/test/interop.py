"""Reads a data set with zarr, tensorstore and xarray, compares them, and prints what it holds as JSON."""
import hashlib
import json
import sys

import numpy
import tensorstore
import xarray
import zarr

folder = sys.argv[1]
group = zarr.open_group(folder, mode="r", zarr_format=3)
found = {"attributes": dict(group.attrs), "arrays": {}, "consolidated": group.metadata.consolidated_metadata is not None}
for name in sorted(zarr.open_group(folder, mode="r", use_consolidated=False).array_keys()):
    array = group[name]
    values = array[...]
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/{name}/"}}
    other = tensorstore.open(spec, read=True).result()
    assert list(other.domain.labels) == list(array.metadata.dimension_names), f"tensorstore names other axes of {name}"
    assert numpy.array_equal(values, other.read().result()), f"zarr and tensorstore differ in {name}"
    found["arrays"][name] = {
        "shape": list(values.shape),
        "dtype": str(values.dtype),
        "sha256": hashlib.sha256(numpy.ascontiguousarray(values).tobytes()).hexdigest(),
    }
for consolidated in [True, False] if found["consolidated"] else [False]:
    with xarray.open_zarr(folder, consolidated=consolidated) as opened:
        assert set(opened.variables) == set(found["arrays"]), f"xarray finds {sorted(opened.variables)}"
        for name in found["arrays"]:
            values = opened[name].values
            assert values.dtype == group[name].dtype, f"xarray makes {values.dtype} of {name}"
            assert numpy.array_equal(values, group[name][...]), f"zarr and xarray differ in {name}"
            assert opened[name].dims == group[name].metadata.dimension_names
        found["dimensions"] = dict(opened.sizes)
for name in ["labels", "quarantine"]:
    if name in found["arrays"]:
        found[name] = [json.loads(line) for line in group[name][...].tobytes().decode().splitlines()]
print(json.dumps(found))

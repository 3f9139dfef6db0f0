"""Reads a data set and its vectors with zarr and numpy: read.py STORE DATASET MODEL

STORE is the folder that FARM_STORE names (.farm/store unless told). Each cell (# %%) can be run by itself in an editor
that knows notebooks.
"""

# %% The data set: one Zarr group
import json
import sys

import numpy as np
import zarr

store, dataset, model = sys.argv[1:4]
group = zarr.open_group(f"{store}/datasets/{dataset}", mode="r")
about = group.attrs["loc2vec"]
print(f"{about['locations']} locations of {about['source']['map']['name']}, {about['attribution']}")
print("arrays:", ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in sorted(group.arrays())))

# %% One tile: only its own bytes are read, not the whole shard
anchor = group["tiles"][0, 0]  # [y, x, channel], uint8; sample 0 is the anchor, 1 and on are the positives
for channel, name in enumerate(about["channels"]):
    print(f"  {name:<24} {np.count_nonzero(anchor[..., channel]) / anchor[..., channel].size:6.1%} of the tile drawn")

# %% How the positives of a location were turned and shifted
for sample in range(1, min(3, about["samples"])):
    turn, (east, north) = group["rotation"][0, sample], group["offset"][0, sample]
    print(f"positive {sample}: turned by {turn:.0f} degrees, shifted {east:.1f} m east and {north:.1f} m north")

# %% Labels: JSON lines, where there are any
labels = {}
if "labels" in group:
    labels = dict(json.loads(line) for line in group["labels"][:].tobytes().splitlines())

# %% The vectors: a Zarr group of the model's
embedded = zarr.open_group(f"{store}/models/{model}/embeddings/{dataset}", mode="r")
vectors = embedded["embedding"][:]  # float32 [location, 16]
print(f"vectors: {vectors.dtype}{list(vectors.shape)}, of model {model} after step {embedded.attrs['step']}")

# %% Places whose surroundings are most like those of the first
distances = np.linalg.norm(vectors - vectors[0], axis=1)
lon, lat = group["lon"][:], group["lat"][:]
for index in np.argsort(distances, kind="stable")[:5]:
    print(f"  {distances[index]:7.3f}  {lon[index]:.5f} {lat[index]:.5f}  {labels.get(int(index), '')}")

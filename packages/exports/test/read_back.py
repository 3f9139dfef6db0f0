"""Reads exports and compares them with what the store has: read_back.py STORE DATASET MODEL FOLDER. Prints what it saw as JSON."""

import json
import sys

import duckdb
import geopandas
import numpy as np
import pandas
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import zarr

store, dataset, model, folder = sys.argv[1:5]
group = zarr.open_group(f"{store}/datasets/{dataset}", mode="r")
vectors = zarr.open_group(f"{store}/models/{model}/embeddings/{dataset}", mode="r")["embedding"][:]
lon, lat = group["lon"][:], group["lat"][:]
kinds = np.array(["visit", "transport"])[group["kind"][:]]
labels = dict(json.loads(line) for line in group["labels"][:].tobytes().splitlines())
n = len(lon)


def compare(frame, embedded):
    np.testing.assert_array_equal(frame["location"], np.arange(n))
    np.testing.assert_array_equal(frame["lon"], lon)
    np.testing.assert_array_equal(frame["lat"], lat)
    np.testing.assert_array_equal(frame["kind"], kinds)
    seen = [None if pandas.isna(label) else label for label in frame["label"]]
    assert seen == [labels.get(i) for i in range(n)]
    assert embedded.dtype == np.float32, embedded.dtype
    np.testing.assert_array_equal(embedded, vectors)


path = f"{folder}/all.parquet"
places = geopandas.read_parquet(path)
compare(places, np.stack(places["embedding"]))
np.testing.assert_array_equal(places.geometry.x, lon)
np.testing.assert_array_equal(places.geometry.y, lat)
file = pyarrow.parquet.ParquetFile(path)
geo = json.loads(file.metadata.metadata[b"geo"])
box = geo["columns"]["geometry"]["bbox"]
assert box == [lon.min(), lat.min(), lon.max(), lat.max()], box

# The nearest to the first, as DuckDB finds them, are those that numpy finds.
found = duckdb.sql(
    f"""SELECT location FROM '{path}' ORDER BY array_distance(embedding::DOUBLE[{vectors.shape[1]}],
        (SELECT embedding FROM '{path}' WHERE location = 0)::DOUBLE[{vectors.shape[1]}]), location LIMIT 5"""
).fetchnumpy()["location"]
distances = np.linalg.norm(vectors.astype(np.float64) - vectors[0].astype(np.float64), axis=1)
np.testing.assert_array_equal(found, np.argsort(distances, kind="stable")[:5])

arrow = pyarrow.ipc.open_file(f"{folder}/all.arrow")
table = arrow.read_all()
flat = table["embedding"].combine_chunks().flatten().to_numpy()
compare(table.to_pandas(), flat.reshape(n, -1))

text = pandas.read_csv(f"{folder}/all.csv", dtype={f"embedding_{k}": np.float32 for k in range(vectors.shape[1])}, keep_default_na=False, na_values={"label": [""]})
compare(text, text.filter(like="embedding_").to_numpy())
by_duckdb = duckdb.sql(f"SELECT count(*) AS n, count(label) AS labelled FROM read_csv('{folder}/all.csv')").fetchall()

print(
    json.dumps(
        {
            "n": n,
            "crs": places.crs.to_string(),
            "rowGroups": file.num_row_groups,
            "batches": arrow.num_record_batches,
            "parquetType": str(file.schema_arrow.field("embedding").type),
            "arrowType": str(table.schema.field("embedding").type),
            "origin": json.loads(file.metadata.metadata[b"loc2vec"]),
            "arrowOrigin": json.loads(table.schema.metadata[b"loc2vec"]),
            "duckdbCsv": by_duckdb[0],
        }
    )
)

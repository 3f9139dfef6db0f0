"""Reads exported vectors with GeoPandas and DuckDB: exported.py FILE.parquet"""

# %% All places, as points with their vectors
import sys

import duckdb
import geopandas
import numpy as np

path = sys.argv[1]
places = geopandas.read_parquet(path)
vectors = np.stack(places["embedding"])  # float32 [place, 16]
print(f"{len(places)} places in {places.crs.to_string()}, vectors {vectors.dtype}{list(vectors.shape)}")
print("they lie within", *(f"{degrees:.5f}" for degrees in places.total_bounds))

# %% Places whose surroundings are most like those of the first, by SQL on the file
size = vectors.shape[1]
nearest = duckdb.sql(
    f"""
    SELECT location, lon, lat, array_distance(embedding::FLOAT[{size}], first::FLOAT[{size}]) AS distance
    FROM '{path}', (SELECT embedding AS first FROM '{path}' WHERE location = 0)
    ORDER BY distance, location LIMIT 5
    """
).fetchall()
for location, lon, lat, distance in nearest:
    print(f"  {distance:7.3f}  {lon:.5f} {lat:.5f}  location {location}")

"""Asks the API of `farm serve`, with what Python brings along: ask.py URL LON LAT. The token is taken from FARM_TOKEN."""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

url, lon, lat = sys.argv[1:4]
headers = {"authorization": f"Bearer {os.environ['FARM_TOKEN']}", "content-type": "application/json"}


def ask(path, body=None):
    """An answer's JSON. A server that cannot answer for the moment is asked again when it says so."""
    data = None if body is None else json.dumps(body).encode()
    for attempt in range(5):
        try:
            with urllib.request.urlopen(urllib.request.Request(url + path, data, headers)) as response:
                return json.load(response)
        except urllib.error.HTTPError as refused:
            wait = refused.headers.get("retry-after")
            if wait is not None and attempt < 4:
                time.sleep(int(wait))
                continue
            error = json.load(refused)["error"]
            sys.exit(f"{error['message']} ({error['code']}; mend: {error['mend']})")


model = ask("/v1/model")
print(f"{model['n']} locations of {model['dataset']}, by {model['model']}, {model['attribution']}")
spot = {"lon": float(lon), "lat": float(lat)}
[vector] = ask("/v1/embed", {"places": [spot]})["vectors"]
print("vector:", " ".join(f"{value:.3f}" for value in vector))
query = urllib.parse.urlencode({**spot, "k": 5, "min_distance_m": 200})
for near in ask(f"/v1/neighbours?{query}")["neighbours"]:
    name = near.get("label", f"location {near['location']}")
    print(f"{near['distance']:.3f}  {near['metres']:.0f} m  {near['lon']} {near['lat']}  {name}")

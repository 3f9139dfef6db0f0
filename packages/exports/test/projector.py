"""Asks TensorBoard's Projector what it makes of a folder: projector.py FOLDER PICTURE. PICTURE is where its sprite goes. Prints JSON."""

import json
import sys

import numpy as np
from tensorboard.backend.event_processing import data_ingester, data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin
from werkzeug import Request
from werkzeug.test import Client
from werkzeug.wrappers import Response

folder, picture = sys.argv[1:3]
multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(folder)
provider = data_provider.MultiplexerDataProvider(multiplexer, folder)
plugin = projector_plugin.ProjectorPlugin(base_plugin.TBContext(logdir=folder, data_provider=provider))
apps = plugin.get_plugin_apps()


def get(route, **query):
    answer = Client(apps[route], Response).get(route, query_string=query)
    assert answer.status_code == 200, (route, answer.status, answer.data)
    return answer.data


run = json.loads(get("/runs"))[0]
config = json.loads(get("/info", run=run))
embedding = config["embeddings"][0]
name = embedding["tensorName"]
tensor = np.frombuffer(get("/tensor", run=run, name=name), dtype=np.float32).reshape(embedding["tensorShape"])
metadata = get("/metadata", run=run, name=name).decode()
open(picture, "wb").write(get("/sprite_image", run=run, name=name))
print(json.dumps({"name": name, "sprite": embedding["sprite"], "tensor": tensor.tolist(), "metadata": metadata}))

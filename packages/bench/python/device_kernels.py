"""Whether TensorFlow has kernels for a device. It takes no such device: kernels are registered when the library is loaded.

Reads a line of JSON on stdin: {"device": "GPU" or "CPU", "ops": [{"op": name, "types": {attribute: type}}]}. Prints JSON:
TensorFlow's version, whether it is built with CUDA, and for each op whether a kernel takes these types, and else what there
is instead.
"""
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf
from task import read_task
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import kernels, op_def_registry

# TensorFlow's names in `types.proto` of those that our code calls otherwise.
NAMES = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE"}


def number_of(name):
    return types_pb2.DataType.Value(NAMES.get(name, f"DT_{name.upper()}"))


def type_of(op_def, types, attribute):
    """What an attribute is: as it is given, or else the op's default for it."""
    if attribute in types:
        return number_of(types[attribute])
    return next((a.default_value.type for a in op_def.attr if a.name == attribute and a.HasField("default_value")), None)


def takes(kernel, op_def, types):
    """Whether a kernel's constraints hold: https://www.tensorflow.org/guide/create_op, Polymorphism."""
    return all(
        type_of(op_def, types, constraint.name) in constraint.allowed_values.list.type
        for constraint in kernel.constraint
    )


def look(device, op, types):
    op_def = op_def_registry.get(op)
    if op_def is None:
        return {"found": False, "why": "no such op"}
    registered = [k for k in kernels.get_registered_kernels_for_op(op).kernel if k.device_type == device and not k.label]
    if any(takes(kernel, op_def, types) for kernel in registered):
        return {"found": True}
    has = sorted(
        {
            " ".join(f"{c.name}={'/'.join(map(types_pb2.DataType.Name, c.allowed_values.list.type))}" for c in k.constraint)
            for k in registered
        }
    )
    return {"found": False, "why": f"kernels for {device}: {'; '.join(has) or 'none'}"}


task = read_task()
print(
    json.dumps(
        {
            "tensorflow": tf.__version__,
            "cuda": tf.test.is_built_with_cuda(),
            "kernels": [look(task["device"], each["op"], each["types"]) for each in task["ops"]],
        }
    )
)

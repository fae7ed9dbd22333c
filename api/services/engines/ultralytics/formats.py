"""What each export format needs beside ultralytics. Nothing is installed on the way: what is missing is said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.services.engines.interpreter import Interpreter
from api.utils.errors import Invalid

#: as ultralytics' exporter asks for them; one of each entry's alternatives. Tried here: onnx, torchscript, openvino
NEEDS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "onnx": (("onnx",),),
    "torchscript": (),
    "openvino": (("openvino",),),
    "engine": (("tensorrt", "tensorrt_cu12", "tensorrt_cu13"), ("onnx",)),
    "coreml": (("coremltools",),),
    "litert": (("litert_torch",), ("ai_edge_litert",)),
    "mnn": (("MNN",), ("onnx",)),
    "ncnn": (("ncnn",), ("pnnx",)),
    "paddle": (("paddlepaddle", "paddlepaddle_gpu"), ("x2paddle",)),
    "saved_model": (("tensorflow", "tensorflow_cpu"), ("onnx2tf",), ("onnx",)),
}
#: for 16 bit besides
NEEDS_FOR_HALF: Mapping[str, Sequence[tuple[str, ...]]] = {
    "onnx": (("onnxruntime", "onnxruntime_gpu", "onnxruntime_qnn"),),
}
#: made on a GPU only
NEED_GPU = frozenset({"engine"})


def missing(name: str, interpreter: Interpreter, *, half: bool = False) -> list[str]:
    """Packages that a format needs and that are not there."""
    return [
        alternatives[0].replace("_", "-")
        for alternatives in (*NEEDS[name], *(NEEDS_FOR_HALF.get(name, ()) if half else ()))
        if not any(interpreter.version_of(each) for each in alternatives)
    ]


def check(name: str, interpreter: Interpreter, *, half: bool = False) -> None:
    """Raises Invalid naming what is missing."""
    short = missing(name, interpreter, half=half)
    if not short:
        return
    lacking = f"needs {' and '.join(short)}, which the environment of {interpreter.name} does not have"
    if half and not missing(name, interpreter):
        raise Invalid("half", f"{name} in 16 bit {lacking}")
    can = [each for each in NEEDS if each not in NEED_GPU and not missing(each, interpreter)]
    raise Invalid("format", f"{name} {lacking}; without it there are: {', '.join(can)}")

"""`kserve.InferenceRESTClient`, in both of its protocols: the calls that tests make of it."""

import asyncio
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from talk import answer_calls

# The package's own __init__ imports its Kubernetes client and model server as well, which are not installed.
package = ModuleType("kserve")
package.__path__ = list(find_spec("kserve").submodule_search_locations)
sys.modules["kserve"] = package

from kserve.inference_client import InferenceRESTClient, RESTConfig  # noqa: E402
from kserve.protocol.infer_type import InferInput, InferRequest, InferResponse, RequestedOutput  # noqa: E402

NUMPY = {"FP64": np.float64, "FP32": np.float32, "FP16": np.float16, "INT64": np.int64, "BOOL": np.bool_}
NUMPY["BYTES"] = np.object_


def ask(protocol: str, method: str, **arguments: Any) -> Any:
    """Any call without tensors."""

    async def asked() -> Any:
        async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
            return await getattr(client, method)(**arguments)

    return asyncio.run(asked())


def infer(
    url: str,
    headers: dict[str, str],
    model: str,
    tensors: list[dict[str, Any]],
    binary: bool,
    outputs: dict[str, bool] | None = None,
    whole: bool | None = None,
) -> dict[str, Any]:
    """A V2 request. `outputs` are asked for by name, each with whether as binary data; `whole`: all as binary data."""
    request = InferRequest(
        model_name=model,
        infer_inputs=[tensor_of(binary=binary, **tensor) for tensor in tensors],
        request_id="req-7",
        parameters=None if whole is None else {"binary_data_output": whole},
        request_outputs=[RequestedOutput(name, {"binary_data": wish}) for name, wish in (outputs or {}).items()],
    )
    answer: InferResponse = ask(
        "v2", "infer", base_url=url, data=request, model_name=model, headers=dict(headers), timeout=30
    )
    return {
        "id": answer.id,
        "model": answer.model_name,
        "outputs": {output.name: values(output.as_numpy()) for output in answer.outputs},
    }


def tensor_of(name: str, datatype: str, data: list[Any], binary: bool, shape: list[int] | None = None) -> InferInput:
    tensor = InferInput(name, shape or [len(data), 1], datatype)
    tensor.set_data_from_numpy(np.array(data, NUMPY[datatype]).reshape(tensor.shape), binary_data=binary)
    return tensor


def values(array: np.ndarray) -> Any:
    if array.dtype == np.object_:
        return [
            [value.decode() if isinstance(value, bytes) else value for value in row]
            for row in array.reshape(len(array), -1)
        ]
    return array.tolist()


if __name__ == "__main__":
    answer_calls({"ask": ask, "infer": infer})

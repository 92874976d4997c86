"""`tritonclient[http]`: the calls that tests make of it."""

from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
from talk import answer_calls
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import triton_to_np_dtype


@cache
def client(address: str) -> InferenceServerClient:
    return InferenceServerClient(address, concurrency=8)


def ask(address: str, headers: dict[str, str], method: str, **arguments: Any) -> Any:
    """Any call without tensors."""
    return getattr(client(address), method)(headers=headers, **arguments)


def infer(
    address: str,
    headers: dict[str, str],
    tensors: list[dict[str, Any]],
    outputs: dict[str, bool] | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    """`outputs`: the names that are asked for, each with whether as binary data."""
    result = client(address).infer(inputs=inputs(tensors), outputs=wanted(outputs), headers=headers, **arguments)
    return plain(result)


def infer_at_once(
    address: str, headers: dict[str, str], requests: list[list[dict[str, Any]]], **arguments: Any
) -> list[dict[str, Any]]:
    """Several requests under way at the same time. Each has headers of its own, since the client adds to them."""
    asked = [
        client(address).async_infer(inputs=inputs(tensors), headers=dict(headers), request_id=str(number), **arguments)
        for number, tensors in enumerate(requests)
    ]
    return [plain(one.get_result()) for one in asked]


def inputs(tensors: list[dict[str, Any]]) -> list[InferInput]:
    return [tensor_of(**tensor) for tensor in tensors]


def tensor_of(
    name: str, datatype: str, data: list[Any], shape: list[int] | None = None, binary: bool = True
) -> InferInput:
    array = array_of(datatype, data)
    array = array.reshape(shape or [len(data), 1])
    return InferInput(name, array.shape, datatype).set_data_from_numpy(array, binary_data=binary)


def array_of(datatype: str, data: list[Any]) -> np.ndarray:
    if datatype == "BYTES":
        # Bytes that are no text are written as numbers.
        return np.array([value.encode() if isinstance(value, str) else bytes(value) for value in data], np.object_)
    return np.array(data, ml_dtypes.bfloat16 if datatype == "BF16" else triton_to_np_dtype(datatype))


def wanted(outputs: dict[str, bool] | None) -> list[InferRequestedOutput] | None:
    return outputs and [InferRequestedOutput(name, binary_data=binary) for name, binary in outputs.items()]


def plain(result: InferResult) -> dict[str, Any]:
    """The whole answer: what it says of itself, and every output's values and shape."""
    said = result.get_response()
    outputs = {output["name"]: values(result.as_numpy(output["name"])) for output in said["outputs"]}
    return {"said": said, "outputs": outputs}


def values(array: np.ndarray) -> Any:
    if array.dtype == np.object_:
        return [
            [value.decode() if isinstance(value, bytes) else value for value in row]
            for row in array.reshape(len(array), -1)
        ]
    return array.tolist()


if __name__ == "__main__":
    answer_calls({"ask": ask, "infer": infer, "infer_at_once": infer_at_once})

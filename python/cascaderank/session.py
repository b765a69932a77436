"""A model file in, arrays in, arrays out: beside ``providers`` the only module that imports ``onnxruntime``."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cascaderank.errors import ModelError, ProviderError
from cascaderank.manifest import PAIRED
from cascaderank.model import ModelSpec
from cascaderank.providers import EXECUTION_PROVIDERS, HOST_PROVIDERS, SessionOptions, create_session, first_line

_NO_MEMORY = re.compile("Failed to allocate memory|bad_alloc|out of memory", re.IGNORECASE)
_TERMINATED = "terminate flag"  # in ONNX Runtime's message when RunOptions.terminate was set


class Cancelled(Exception):
    """A run was ended by ``Cancellation.cancel``; schedulers catch it, callers never see it."""


class RunFailed(ProviderError):
    """The provider could not finish a run; a cascade adds the stage's name."""


class OutOfMemory(RunFailed):
    """A run found no memory: it is tried again with fewer rows, then the rest of the stage is left out."""


class Cancellation:
    """One request's switch: ``cancel`` ends runs in progress between two graph nodes and refuses new ones.

    OpenVINO makes the whole graph one node: a run in progress there goes on to its end, and its result is dropped.
    """

    def __init__(self) -> None:
        self._options: Any = None
        self._lock = threading.Lock()
        self._shared: set[SharedOptions] = set()
        self.cancelled = False

    def options(self) -> Any:
        """Run options for all runs of the request. Once terminated they are never used again: a new request has a new
        switch."""
        if self._options is None:
            with self._lock:
                if self._options is None:
                    options = onnxruntime.RunOptions()
                    options.terminate = self.cancelled
                    self._options = options
        return self._options

    def cancel(self) -> None:
        with self._lock:
            self.cancelled = True
            if self._options is not None:
                self._options.terminate = True
            shared, self._shared = self._shared, set()
        for one in shared:
            one.leave()


class SharedOptions:
    """Run options of a run that several requests share: it ends early once all of them are cancelled."""

    def __init__(self, requests: Sequence[Cancellation]) -> None:
        self.options = onnxruntime.RunOptions()
        self._lock = threading.Lock()
        self._requests = set(requests)
        self._left = len(self._requests)

    def __enter__(self) -> Any:
        for one in self._requests:
            with one._lock:
                if not one.cancelled:
                    one._shared.add(self)
                    continue
            self.leave()
        return self.options

    def __exit__(self, *_: object) -> None:
        for one in self._requests:
            with one._lock:
                one._shared.discard(self)

    def leave(self) -> None:
        with self._lock:
            self._left -= 1
            if not self._left:
                self.options.terminate = True


class Runner(Protocol):
    """What a worker needs of a session: int64 ``[rows, width]`` tensors by role in, the float32 output back.

    ``past`` is what ``prefix`` made of tokens that come before all rows (a decoder's keys and values), None: nothing
    does.
    """

    def run(self, tensors: Mapping[str, NDArray[np.int64]], options: Any, past: Any = None) -> NDArray[np.float32]: ...

    def prefix(self, tensors: Mapping[str, NDArray[np.int64]], options: Any) -> Any: ...


class Session:
    """One ONNX Runtime session, checked against the manifest. Leased runners work side by side on a CPU.

    Attributes: ``provider`` is what was really used, ``note`` says why when ``auto`` could not use CUDA, ``parallel``
    whether runs may overlap, ``threads`` how many work inside one run.
    """

    def __init__(self, spec: ModelSpec, options: SessionOptions) -> None:
        self.spec = spec
        self.options = options
        self.note = ""
        self.provider = options.provider
        if options.provider == "auto":
            self.provider = "cuda" if EXECUTION_PROVIDERS["cuda"] in onnxruntime.get_available_providers() else "cpu"
        try:
            inner = create_session(spec, options, self.provider)
        except ProviderError as error:
            if options.provider != "auto":
                raise
            self.provider, self.note = "cpu", f"auto chose the CPU: {error}"
            inner = create_session(spec, options, self.provider)
        self._inner = inner
        self._names = dict(spec.input.names)
        self._output = spec.output.name
        self.output_rank = _check_graph(spec, inner)
        self.parallel = self.provider in HOST_PROVIDERS
        self.threads = options.threads if self.parallel else 1
        self._past = _empty_past(spec, inner)
        self._bound: Runner | None = None
        if not self.parallel and self._past is not None:
            self._bound = PastRunner(inner, spec, self._past, self.provider, options.device)
        elif not self.parallel:
            self._bound = BoundRunner(inner, self._names, self._output, self.provider, options.device, spec)
        self._lock = threading.Lock()

    def with_threads(self, threads: int) -> Session:
        """The same model in a session of its own, with so many threads inside one run."""
        return Session(self.spec, replace(self.options, threads=threads))

    @contextmanager
    def lease(self) -> Iterator[Runner]:
        """A runner for one worker; on a device there is one, and its holder has it alone."""
        if self._bound is None:
            yield DirectRunner(self._inner, self._names, self._output, self.spec.output.present, self._past)
        else:
            with self._lock:
                yield self._bound


class DirectRunner:
    """Runs over NumPy views. On a CPU nothing is copied in, and binding inputs anew for each shape costs about 2.5
    times the call that it saves (bench/session_calls.py); neither matters beside a model."""

    def __init__(
        self,
        inner: Any,
        names: Mapping[str, str],
        output: str,
        present: str = "",
        empty: NDArray[np.float32] | None = None,
    ) -> None:
        self._inner = inner
        self._names = {role: name for role, name in names.items() if role != "past"}
        self._past = names.get("past", "")
        self._output = [output]
        self._present = [present]
        self._empty = empty

    def run(self, tensors: Mapping[str, NDArray[np.int64]], options: Any, past: Any = None) -> NDArray[np.float32]:
        feed: dict[str, Any] = {name: tensors[role] for role, name in self._names.items()}
        if self._past:
            feed[self._past] = self._empty if past is None else past
        result: NDArray[np.float32] = _call(lambda: self._inner.run(self._output, feed, options)[0])
        return result

    def prefix(self, tensors: Mapping[str, NDArray[np.int64]], options: Any) -> Any:
        feed: dict[str, Any] = {name: tensors[role] for role, name in self._names.items()}
        feed[self._past] = self._empty
        return _call(lambda: self._inner.run(self._present, feed, options)[0])


class PastRunner:
    """A decoder on a device: keys and values of a prefix stay there, bound as input of every run that shares them."""

    def __init__(self, inner: Any, spec: ModelSpec, empty: NDArray[np.float32], device: str, device_id: int) -> None:
        self._inner = inner
        self._names = {role: name for role, name in spec.input.names.items() if role != "past"}
        self._past = spec.input.names["past"]
        self._output, self._present = spec.output.name, spec.output.present
        self._device, self._device_id = device, device_id
        self._empty = onnxruntime.OrtValue.ortvalue_from_numpy(empty, device, device_id)

    def run(self, tensors: Mapping[str, NDArray[np.int64]], options: Any, past: Any = None) -> NDArray[np.float32]:
        binding = self._bind(tensors, self._empty if past is None else past)
        binding.bind_output(self._output, "cpu")
        _call(lambda: self._inner.run_with_iobinding(binding, options))
        result: NDArray[np.float32] = binding.get_outputs()[0].numpy()
        return result

    def prefix(self, tensors: Mapping[str, NDArray[np.int64]], options: Any) -> Any:
        binding = self._bind(tensors, self._empty)
        binding.bind_output(self._present, self._device, self._device_id)
        _call(lambda: self._inner.run_with_iobinding(binding, options))
        return binding.get_outputs()[0]

    def _bind(self, tensors: Mapping[str, NDArray[np.int64]], past: Any) -> Any:
        binding = self._inner.io_binding()
        for role, name in self._names.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(tensors[role]))
        binding.bind_ortvalue_input(self._past, past)
        return binding


class BoundRunner:
    """Runs over buffers that stay on the device, one set per bucket (a shape), allocated once and then reused.

    Rows are rounded up to a power of two by repeating the first row, so that few buckets serve all micro-batches; their
    scores are cut off. The output is valid until the next run: on the CPU it is a view of the bucket. Works with any
    device ONNX Runtime can allocate on, the CPU included, which is how it is tested where there is no GPU.
    """

    def __init__(
        self, inner: Any, names: Mapping[str, str], output: str, device: str, device_id: int, spec: ModelSpec
    ) -> None:
        self._inner = inner
        self._names = names
        self._output = output
        self._device = device
        self._device_id = device_id
        self._tail = (spec.output.columns,) if spec.kind in PAIRED else (spec.output.dimension,)
        self._per_token = spec.kind == "late_interaction" or (
            spec.kind == "bi_encoder" and spec.output.pooling != "none"
        )
        self._buckets: dict[tuple[int, int], tuple[Any, dict[str, Any], Any]] = {}

    def prefix(self, tensors: Mapping[str, NDArray[np.int64]], options: Any) -> Any:
        raise NotImplementedError("only decoders share a prefix; they have a PastRunner")

    def run(self, tensors: Mapping[str, NDArray[np.int64]], options: Any, past: Any = None) -> NDArray[np.float32]:
        rows, width = tensors["input_ids"].shape
        bucket_rows = 1 << (rows - 1).bit_length()
        binding, values, output = self._bucket(bucket_rows, width)
        for role, value in values.items():
            array = tensors[role]
            if bucket_rows != rows:
                array = np.concatenate([array, np.repeat(array[:1], bucket_rows - rows, axis=0)])
            value.update_inplace(np.ascontiguousarray(array))
        _call(lambda: self._inner.run_with_iobinding(binding, options))
        result: NDArray[np.float32] = output.numpy()[:rows]
        return result

    def _bucket(self, rows: int, width: int) -> tuple[Any, dict[str, Any], Any]:
        bucket = self._buckets.get((rows, width))
        if bucket is None:
            allocate = onnxruntime.OrtValue.ortvalue_from_shape_and_type
            shape = (rows, width, *self._tail) if self._per_token else (rows, *self._tail)
            values = {role: allocate([rows, width], np.int64, self._device, self._device_id) for role in self._names}
            output = allocate(list(shape), np.float32, self._device, self._device_id)
            binding = self._inner.io_binding()
            for role, name in self._names.items():
                binding.bind_ortvalue_input(name, values[role])
            binding.bind_ortvalue_output(self._output, output)
            bucket = self._buckets[rows, width] = (binding, values, output)
        return bucket


def _call(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Exception as error:
        message = str(error)
        if _TERMINATED in message:
            raise Cancelled from None
        failure = OutOfMemory if isinstance(error, MemoryError) or _NO_MEMORY.search(message) else RunFailed
        raise failure(f"a run of the model failed: {first_line(error)}") from error


def _check_graph(spec: ModelSpec, inner: Any) -> int:
    """Compare the graph's inputs and output with the manifest; returns the output's rank."""
    where = spec.model_file
    inputs = {item.name: item for item in inner.get_inputs()}
    expected = set(spec.input.names.values())
    if set(inputs) != expected:
        raise ModelError(
            f"{where}: graph inputs are {sorted(inputs)}, the manifest names {sorted(expected)}; "
            "correct [input.names] or re-export"
        )
    for item in inputs.values():
        if item.name == spec.input.names.get("past"):
            _empty_past(spec, inner)
            continue
        if item.type != "tensor(int64)" or len(item.shape) != 2:
            raise ModelError(
                f"{where}: input {item.name!r} is {item.type} of rank {len(item.shape)}, expected tensor(int64) "
                "[batch, length]; re-export"
            )
    outputs = {item.name: item for item in inner.get_outputs()}
    output = outputs.get(spec.output.name)
    if output is None:
        raise ModelError(f"{where}: no output {spec.output.name!r}; the graph has {sorted(outputs)}")
    if output.type != "tensor(float)":
        raise ModelError(f"{where}: output {output.name!r} is {output.type}, expected tensor(float); re-export")
    if spec.output.present and spec.output.present not in outputs:
        raise ModelError(f"{where}: no output {spec.output.present!r}; the graph has {sorted(outputs)}")
    if spec.kind in PAIRED:
        ranks, size, meaning = (2,), spec.output.columns, "[batch, columns]"
    elif spec.kind == "bi_encoder" and spec.output.pooling == "none":
        ranks, size, meaning = (2,), spec.output.dimension, "[batch, dimension]"
    else:
        ranks, size, meaning = (3,), spec.output.dimension, "[batch, length, dimension]"
    last = output.shape[-1] if output.shape else None
    if len(output.shape) not in ranks or (isinstance(last, int) and last != size):
        raise ModelError(
            f"{where}: output {output.name!r} has shape {output.shape}, expected {meaning} with a last dimension of "
            f"{size}"
        )
    return len(output.shape)


def _empty_past(spec: ModelSpec, inner: Any) -> NDArray[np.float32] | None:
    """No keys and values: float32 ``[2 * layers, 1, heads, 0, size]``; None for a graph that takes none."""
    item = next((item for item in inner.get_inputs() if item.name == spec.input.names.get("past")), None)
    if item is None:
        return None
    shape = list(item.shape)
    fixed = [size for place, size in enumerate(shape) if place in (0, 2, 4)]
    if item.type != "tensor(float)" or len(shape) != 5 or not all(isinstance(size, int) for size in fixed):
        raise ModelError(
            f"{spec.model_file}: input {item.name!r} is {item.type} {shape}, expected tensor(float) [2 * layers, rows, "
            "heads, tokens, size] with fixed layers, heads and size; re-export"
        )
    return np.zeros((fixed[0], 1, fixed[1], 0, fixed[2]), np.float32)

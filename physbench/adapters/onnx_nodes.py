"""Walks through ONNX graphs: nodes and tensors with those of sub-graphs, and the part that makes some outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto


def all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, and those of the bodies of If, Loop and Scan."""
    for node in nodes:
        yield node
        for graph in _bodies(node):
            yield from all_nodes(graph.node)


def all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every constant tensor of a model."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("sparse_tensor"):
            yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
        yield from attribute.tensors
    for graph in _bodies(node):
        yield from _graph_tensors(graph)


def needed_names(graph: GraphProto, outputs: Iterable[str]) -> set[str]:
    """Names of all values that some outputs of a graph depend on, those of inputs and weights too."""
    makers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name in makers:
            waiting += _values_used(makers[name])
    return found


def _values_used(node: NodeProto) -> Iterator[str]:
    """Inputs of a node, and every name that its bodies mention: they may use values of the graph around them."""
    yield from node.input
    for graph in _bodies(node):
        yield from (output.name for output in graph.output)
        for inner in graph.node:
            yield from _values_used(inner)


def part_of(model: ModelProto, outputs: Sequence[str]) -> ModelProto:
    """The model that makes some of the outputs alone, with the weights and inputs that these need."""
    from onnx import GraphProto, ModelProto

    whole = model.graph
    needed = needed_names(whole, outputs)
    by_name = {output.name: output for output in whole.output}
    graph = GraphProto(
        name=whole.name,
        node=[node for node in whole.node if needed & set(node.output)],
        initializer=[tensor for tensor in whole.initializer if tensor.name in needed],
        sparse_initializer=[sparse for sparse in whole.sparse_initializer if sparse.values.name in needed],
        input=[value for value in whole.input if value.name in needed],
        output=[by_name[name] for name in outputs],
    )
    return ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph
    )

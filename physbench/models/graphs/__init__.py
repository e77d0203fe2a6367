"""Models without code: ONNX graphs and programs of torch.export."""

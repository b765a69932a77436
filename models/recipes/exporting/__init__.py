"""From torch to ONNX and int8, the parity gate, and the only place that writes a model folder."""

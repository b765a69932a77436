"""The cross-encoders in torch, from there to ONNX and int8, the parity gate, and what writes a model folder."""

"""Synthesis: from the grids of a GOP to the planes of its frames (spec chapters 6 to 8).

The reference, in NumPy integers, has one function for each section of the specification:

- `arithmetic`: layers in integers and the proof of their bound (6.1 to 6.3)
- `activations`: a layer's rounding (6.2), dequantisation (7.4), the x2 filter (7.10)
- `motion`: displacements, blend weights, half samples, prediction of a plane (7.6.1 to 7.6.3)
- `planes`: the planes of nodes and frames, and the phases of luma (7.6.4, 7.6.6)
- `wavelet`: the inverse wavelet transform (7.6.5)
- `reference`: the whole frame (7.1 to 7.3, 7.7 to 7.11), planes and cropping (8.1, 8.2)

The engines give the same samples, faster:

- `synthesizer`: the interface of every engine, the reference among them
- `predictor`: what both implementations of 7.6 share: which nodes exist when
- `cpu`: 7.6 with OpenCV; `cpu.prediction` (7.6.1, 7.6.3), `cpu.half_samples` (7.6.2), `cpu.wavelet` (7.6.5),
  `cpu.predictor` (7.6.4, 7.6.6)
- `onnx`: the rest of chapter 7 as an ONNX graph in ONNX Runtime (6.4), on a CPU or a GPU; `onnx.predictor` is 7.6
- `cuda`: whether CUDA can be used, and the frames of one call on a GPU
- `synthesizer`: what every engine is for the decoder; `tiles`: large pictures in parts
"""

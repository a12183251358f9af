"""Models whose step is a file that another runtime runs: onnxruntime, OpenVINO, or torch by itself."""

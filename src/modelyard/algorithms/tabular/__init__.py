"""What the algorithms for tables share: reading and splitting, columns to features, learners, and their ONNX graphs."""

"""Forms of convolution that XLA compiles to fast programs for a CPU, as pure functions."""

"""Plain arrays in, plain arrays out: the numerical kernels. Nothing here knows a file, a noun or a log."""

"""The counting kernels, one module a backend, all with the functions of `contract.Kernels`."""

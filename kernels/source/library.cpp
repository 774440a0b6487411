// Of which sources the library was made (build_tools/kernel_compiler.py).
#include "common.h"

#ifndef KERNELS_DIGEST
#define KERNELS_DIGEST ""
#endif

KERNEL const char *kernels_digest(void) { return KERNELS_DIGEST; }

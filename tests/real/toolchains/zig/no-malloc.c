// A plugin that exports no allocator.
#define NO_ALLOCATOR
#include "plugin.c"

// A program that is no plugin.
#include <stdio.h>

int main(void) { return printf("hello\n") < 0; }

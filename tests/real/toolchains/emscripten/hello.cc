// A program that is no plugin.
#include <cstdio>

int main() { std::printf("hello\n"); }

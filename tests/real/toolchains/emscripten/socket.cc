// A plugin that opens a connection itself instead of asking Envoy to.
#include "plugin.cc"

#include <sys/socket.h>

EXPORT(proxy_on_tick) void proxy_on_tick(uint32_t) { socket(AF_INET, SOCK_STREAM, 0); }

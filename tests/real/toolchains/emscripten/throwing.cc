// A plugin that throws and catches.
#include "plugin.cc"

#include <stdexcept>

EXPORT(proxy_on_request_headers) uint32_t proxy_on_request_headers(uint32_t count, uint32_t, uint32_t) {
  try {
    if (count > 3) throw std::runtime_error("many");
  } catch (const std::exception& error) {
    return error.what()[0] == 'x';
  }
  return 0;
}

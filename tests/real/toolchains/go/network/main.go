// A plugin that opens a connection itself instead of asking Envoy to.
package main

import (
	"net"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetHttpContext(func(uint32) types.HttpContext { return &caller{} })
}

type caller struct {
	types.DefaultHttpContext
}

// OnHttpResponseHeaders fails at run time: there is no network.
func (*caller) OnHttpResponseHeaders(int, bool) types.Action {
	if _, err := net.Dial("tcp", "127.0.0.1:1"); err != nil {
		_ = proxywasm.AddHttpResponseHeader("x-custom-header", "custom-value")
	}
	return types.ActionContinue
}

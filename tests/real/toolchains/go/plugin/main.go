// A Proxy-Wasm plugin that marks every response with the header x-custom-header.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetHttpContext(func(uint32) types.HttpContext { return &marker{} })
}

type marker struct {
	types.DefaultHttpContext
}

// OnHttpResponseHeaders adds the header and lets the response pass.
func (*marker) OnHttpResponseHeaders(int, bool) types.Action {
	if err := proxywasm.AddHttpResponseHeader("x-custom-header", "custom-value"); err != nil {
		proxywasm.LogCriticalf("cannot add the header: %v", err)
	}
	return types.ActionContinue
}

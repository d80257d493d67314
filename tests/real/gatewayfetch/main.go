// gatewayfetch fetches Wasm modules as Envoy Gateway does, with Envoy Gateway's own code.
//
//	gatewayfetch [-dir DIR] [-pull-secret FILE] [-timeout 5m] URL [CHECKSUM]
//	gatewayfetch [flags] -            reads lines "URL [CHECKSUM]" from standard input
//
// It prints a line of JSON for each URL and exits 1 when one of them failed. The code is internal to
// Envoy Gateway, so this module's path lies under its own: Go lets only those import it.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	_ "unsafe" // go:linkname

	egv1a1 "github.com/envoyproxy/gateway/api/v1alpha1"
	"github.com/envoyproxy/gateway/internal/logging"
	"github.com/envoyproxy/gateway/internal/wasm"
)

// newCache makes the cache behind the gateway's HTTP server, which alone has exported constructors.
//
//go:linkname newCache github.com/envoyproxy/gateway/internal/wasm.newLocalFileCache
func newCache(options wasm.CacheOptions, logger logging.Logger) cache

// cache stands for *wasm.localFileCache, which is not exported: a pointer to a struct.
type cache = *struct{}

//go:linkname get github.com/envoyproxy/gateway/internal/wasm.(*localFileCache).Get
func get(in cache, url string, options *wasm.GetOptions) (file, checksum string, err error)

// outcome is what became of one URL; digest is the checksum that the gateway compares with sha256.
type outcome struct {
	URL    string `json:"url"`
	Path   string `json:"path,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Digest string `json:"digest,omitempty"`
	Error  string `json:"error,omitempty"`
}

func main() {
	dir := flag.String("dir", "", "where modules are kept (default: a new temporary folder)")
	secret := flag.String("pull-secret", "", "a dockerconfigjson, as pullSecretRef holds it")
	timeout := flag.Duration("timeout", wasm.DefaultPullTimeout, "the time for each URL")
	flag.Parse()
	if flag.NArg() < 1 {
		flag.Usage()
		os.Exit(2)
	}
	options := wasm.GetOptions{RequestTimeout: *timeout, ResourceName: "gatewayfetch", PullPolicy: wasm.Always}
	if *secret != "" {
		options.PullSecret = must(os.ReadFile(*secret))
	}
	if *dir == "" {
		*dir = must(os.MkdirTemp("", "gatewayfetch"))
	}
	// The gateway's limit for all modules together is no rule about one of them.
	in := newCache(
		wasm.CacheOptions{CacheDir: *dir, MaxCacheSize: 1 << 40},
		logging.DefaultLogger(os.Stderr, egv1a1.LogLevelError),
	)

	failed, version := false, 0
	printer := json.NewEncoder(os.Stdout)
	each := func(words []string) {
		version++ // under the policy Always, another version makes the gateway ask again
		options.ResourceVersion = strconv.Itoa(version)
		result := fetch(in, options, words)
		failed = failed || result.Error != ""
		must(0, printer.Encode(result))
	}
	if flag.Arg(0) != "-" {
		each(flag.Args())
	} else {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if words := strings.Fields(lines.Text()); len(words) > 0 {
				each(words)
			}
		}
	}
	if failed {
		os.Exit(1)
	}
}

func fetch(in cache, options wasm.GetOptions, words []string) outcome {
	if len(words) > 1 {
		options.Checksum = words[1]
	}
	path, sum, err := get(in, words[0], &options)
	if err != nil {
		return outcome{URL: words[0], Error: err.Error()}
	}
	digest := strings.TrimSuffix(filepath.Base(path), ".wasm")
	return outcome{URL: words[0], Path: path, SHA256: sum, Digest: digest}
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, "gatewayfetch:", err)
		os.Exit(2)
	}
	return value
}

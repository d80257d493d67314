// istiofetch fetches Wasm modules as istio-agent does, with istio-agent's own code.
//
//	istiofetch [-dir DIR] [-pull-secret FILE] [-timeout 15s] URL [CHECKSUM]
//	istiofetch [flags] -            reads lines "URL [CHECKSUM]" from standard input
//	istiofetch [flags] -agents N URL [CHECKSUM]
//	                                N agents at the same moment, each with a cache of its own, which it empties
//
// It prints a line of JSON for each URL and exits 1 when one of them failed.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/wasm"
)

// outcome is what became of one URL; digest is the checksum that the agent compares with spec.sha256.
type outcome struct {
	URL    string `json:"url"`
	Path   string `json:"path,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Digest string `json:"digest,omitempty"`
	Error  string `json:"error,omitempty"`
	// Seconds is how long one of many agents took.
	Seconds float64 `json:"seconds,omitempty"`
}

func main() {
	dir := flag.String("dir", "", "where modules are kept (default: a new temporary folder)")
	secret := flag.String("pull-secret", "", "a dockerconfigjson, as imagePullSecret holds it")
	timeout := flag.Duration("timeout", wasm.DefaultHTTPRequestTimeout, "the time for each URL")
	agents := flag.Int("agents", 0, "how many agents fetch at the same moment")
	flag.Parse()
	if flag.NArg() < 1 {
		flag.Usage()
		os.Exit(2)
	}
	silence()
	options := wasm.GetOptions{RequestTimeout: *timeout, ResourceName: "istiofetch", PullPolicy: wasm.Always}
	if *secret != "" {
		options.PullSecret = must(os.ReadFile(*secret))
	}
	if *dir == "" {
		*dir = must(os.MkdirTemp("", "istiofetch"))
	}
	if *agents > 0 {
		if !crowd(*agents, *dir, options, flag.Args()) {
			os.Exit(1)
		}
		return
	}
	cache := emptyCache(*dir)

	failed, version := false, 0
	printer := json.NewEncoder(os.Stdout)
	each := func(words []string) {
		version++ // under the policy Always, another version makes the agent ask again
		options.ResourceVersion = strconv.Itoa(version)
		result := fetch(cache, options, words)
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

func emptyCache(dir string) *wasm.LocalFileCache {
	return wasm.NewLocalFileCache(dir, wasm.Options{
		HTTPRequestTimeout:    wasm.DefaultHTTPRequestTimeout,
		HTTPRequestMaxRetries: wasm.DefaultHTTPRequestMaxRetries,
	})
}

// crowd has as many agents fetch at once and says whether all could.
func crowd(agents int, dir string, options wasm.GetOptions, words []string) bool {
	outcomes, begin := make(chan outcome), make(chan struct{})
	for number := range agents {
		mine := filepath.Join(dir, strconv.Itoa(number))
		must(0, os.Mkdir(mine, 0o755))
		go func() {
			<-begin
			began := time.Now()
			result := fetch(emptyCache(mine), options, words)
			result.Seconds = time.Since(began).Seconds()
			must(0, os.RemoveAll(mine))
			outcomes <- result
		}()
	}
	close(begin)
	all, printer := true, json.NewEncoder(os.Stdout)
	for range agents {
		result := <-outcomes
		all = all && result.Error == ""
		must(0, printer.Encode(result))
	}
	return all
}

func fetch(cache *wasm.LocalFileCache, options wasm.GetOptions, words []string) outcome {
	if len(words) > 1 {
		options.Checksum = words[1]
	}
	path, err := cache.Get(words[0], options)
	if err != nil {
		return outcome{URL: words[0], Error: err.Error()}
	}
	module, err := os.ReadFile(path)
	if err != nil {
		return outcome{URL: words[0], Error: err.Error()}
	}
	sum := sha256.Sum256(module)
	digest := strings.TrimSuffix(filepath.Base(path), ".wasm")
	return outcome{URL: words[0], Path: path, SHA256: hex.EncodeToString(sum[:]), Digest: digest}
}

// silence keeps the agent's own log away from standard output, which holds the results.
func silence() {
	settings := log.DefaultOptions()
	settings.OutputPaths = []string{"stderr"}
	settings.SetDefaultOutputLevel(log.OverrideScopeName, log.ErrorLevel)
	must(0, log.Configure(settings))
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, "istiofetch:", err)
		os.Exit(2)
	}
	return value
}

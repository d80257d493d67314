// kyverno is Kyverno's own command: `kyverno apply POLICY --resource FILE --registry`.
//
// Its module cannot be installed by `go install`, as it replaces one that it needs; this one says the same.
package main

import (
	"flag"
	"os"

	"github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno/commands"
	"github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno/experimental"
	"github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno/log"
)

func main() {
	if err := log.Configure(); err != nil {
		os.Exit(2)
	}
	command := commands.RootCommand(experimental.IsEnabled())
	command.PersistentFlags().AddGoFlagSet(flag.CommandLine)
	if command.Execute() != nil {
		os.Exit(1)
	}
}

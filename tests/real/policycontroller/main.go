// policycontroller asks sigstore's policy-controller, by its own code, whether an image passes a policy.
//
//	policycontroller POLICY IMAGE
//
// POLICY is a file with a ClusterImagePolicy. It ends with 0 where the image passes, and with 1 and the reason
// where it does not, as where no policy names it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/policy-controller/pkg/policy"
	"knative.dev/pkg/apis"
)

func main() {
	if err := verified(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func verified(ctx context.Context, file, image string) error {
	wanted := policy.Verification{NoMatchPolicy: "deny", Policies: &[]policy.Source{{Path: file}}}
	if err := wanted.Validate(ctx); err != nil {
		if wrong := err.Filter(apis.ErrorLevel); wrong != nil {
			return wrong
		}
	}
	warn := func(format string, said ...any) { fmt.Fprintf(os.Stderr, format+"\n", said...) }
	verifier, err := policy.Compile(ctx, wanted, warn)
	if err != nil {
		return err
	}
	reference, err := name.ParseReference(image)
	if err != nil {
		return err
	}
	return verifier.Verify(ctx, reference, authn.DefaultKeychain)
}

// crdvalidate says of resources what a Kubernetes API server with given CRDs would, and what Istio would.
//
//	crdvalidate CRD.yaml… < RESOURCES.json
//
// Standard input is a JSON list of YAML documents. For each a line of JSON is printed: the resource as it was
// read, and the error ("" when there is none). Checked are the published schemas with their CEL rules, that
// no field is unknown, and, for resources of Istio, Istio's own validation.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	kube "istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config/crd"
)

// outcome is what became of one document.
type outcome struct {
	Resource map[string]any `json:"resource"`
	Error    string         `json:"error"`
}

func main() {
	schemas, err := crd.NewValidatorFromFilesWithOptions(os.Args[1:], crd.WithoutCRDValidation())
	if err != nil {
		log.Fatal(err)
	}
	var documents []string
	if err := json.NewDecoder(os.Stdin).Decode(&documents); err != nil {
		log.Fatal(err)
	}
	answers := json.NewEncoder(os.Stdout)
	for _, document := range documents {
		resource := &unstructured.Unstructured{}
		err := yaml.UnmarshalStrict([]byte(document), &resource.Object)
		found := outcome{Resource: resource.DeepCopy().Object}
		if err == nil {
			err = valid(schemas, resource, document)
		}
		if err != nil {
			found.Error = err.Error()
		}
		if err := answers.Encode(found); err != nil {
			log.Fatal(err)
		}
	}
}

func valid(schemas *crd.Validator, resource *unstructured.Unstructured, document string) error {
	for _, fault := range validation.IsDNS1123Subdomain(resource.GetName()) {
		return fmt.Errorf("metadata.name: %s", fault)
	}
	if namespace := resource.GetNamespace(); namespace != "" {
		for _, fault := range validation.IsDNS1123Label(namespace) {
			return fmt.Errorf("metadata.namespace: %s", fault)
		}
	}
	if err := schemas.ValidateCustomResource(resource); err != nil {
		return err
	}
	_, _, err := kube.ParseInputs(document)
	return err
}

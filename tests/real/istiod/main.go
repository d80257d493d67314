// istiod is the discovery server of Istio's control plane, with Istio's own code and without Kubernetes.
//
//	istiod [-discovery 127.0.0.1:15010] [-control 127.0.0.1:15014]
//
// It starts without a resource; at the address of -control, in place of the Kubernetes API,
//
//	GET /resources    answers 200 once proxies are served
//	PUT /resources    takes YAML documents as `kubectl apply` does: from now on these and no others count
//
// A document that Istio's validation does not let pass is answered with 400 and its reason, and nothing
// changes. It ends on SIGTERM.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh"
)

// rootNamespace is where resources that select a gateway of istio-system are.
const rootNamespace = "istio-system"

func main() {
	discovery := flag.String("discovery", "127.0.0.1:15010", "where proxies ask for their configuration")
	control := flag.String("control", "127.0.0.1:15014", "where resources are given")
	flag.Parse()
	settings := mesh.DefaultMeshConfig()
	settings.RootNamespace = rootNamespace
	life := &lifetime{}
	server := xds.NewFakeDiscoveryServer(life, xds.FakeOptions{
		MeshConfig:      settings,
		ListenerBuilder: func() (net.Listener, error) { return net.Listen("tcp", *discovery) },
	})
	resources := &resources{store: server.Store(), held: map[string]config.Config{}}
	http.HandleFunc("GET /resources", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("PUT /resources", resources.put)
	listener, err := net.Listen("tcp", *control)
	if err != nil {
		life.Fatal(err)
	}
	go func() { life.Fatal(http.Serve(listener, nil)) }()

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
	life.end()
}

// resources is what the server was given last.
type resources struct {
	mutex sync.Mutex
	store model.ConfigStoreController
	held  map[string]config.Config
}

// put makes the documents of a request all that there is.
func (r *resources) put(answer http.ResponseWriter, request *http.Request) {
	documents, err := io.ReadAll(request.Body)
	if err == nil {
		err = r.replace(string(documents))
	}
	if err != nil {
		log.Printf("refused: %v", err)
		http.Error(answer, err.Error(), http.StatusBadRequest)
	}
}

func (r *resources) replace(documents string) error {
	parsed, unknown, err := crd.ParseInputs(documents)
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		return fmt.Errorf("not a resource of Istio: %s %s", unknown[0].APIVersion, unknown[0].Kind)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	wanted := map[string]config.Config{}
	for _, resource := range parsed {
		if resource.Namespace == "" {
			return fmt.Errorf("%s %s has no namespace", resource.GroupVersionKind.Kind, resource.Name)
		}
		resource.CreationTimestamp = time.Now()
		wanted[resource.Key()] = resource
	}
	for key, resource := range r.held {
		if _, kept := wanted[key]; !kept {
			err = errors.Join(err, r.store.Delete(resource.GroupVersionKind, resource.Name, resource.Namespace, nil))
		}
	}
	for key, resource := range wanted {
		former, there := r.held[key]
		if !there {
			_, failed := r.store.Create(resource)
			err = errors.Join(err, failed)
		} else if !proto.Equal(former.Spec.(proto.Message), resource.Spec.(proto.Message)) {
			_, failed := r.store.Update(resource)
			err = errors.Join(err, failed)
		}
	}
	r.held = wanted
	log.Printf("%d resources", len(wanted))
	return err
}

// lifetime stands for the test that Istio's code expects to run in: the process lives as long.
type lifetime struct {
	mutex    sync.Mutex
	cleanups []func()
}

func (l *lifetime) Cleanup(cleanup func()) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.cleanups = append(l.cleanups, cleanup)
}

func (l *lifetime) TempDir() string {
	folder, err := os.MkdirTemp("", "istiod")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func (l *lifetime) Fail()                              { log.Fatal("istiod failed") }
func (l *lifetime) FailNow()                           { l.Fail() }
func (l *lifetime) Fatal(words ...any)                 { log.Fatal(words...) }
func (l *lifetime) Fatalf(format string, words ...any) { log.Fatalf(format, words...) }
func (l *lifetime) Log(words ...any)                   { log.Print(words...) }
func (l *lifetime) Logf(format string, words ...any)   { log.Printf(format, words...) }
func (l *lifetime) Skip(words ...any)                  { log.Fatal(words...) }
func (l *lifetime) Helper()                            {}

// end undoes what was set up, last first.
func (l *lifetime) end() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for number := len(l.cleanups) - 1; number >= 0; number-- {
		l.cleanups[number]()
	}
}

// istiod is the discovery server of Istio's control plane, with Istio's own code and without Kubernetes.
//
//	istiod [-discovery 127.0.0.1:15012] [-control 127.0.0.1:15014] -root FILE -certificate FILE -key FILE
//
// Proxies are served over mutual TLS alone, for only those whom it knows get Secrets: -root is the authority
// of their certificates, which have their SPIFFE ids, and the other two are its own certificate, all in PEM.
// It starts without a resource; at the address of -control, in place of the Kubernetes API,
//
//	GET /resources    answers 200 once proxies are served
//	PUT /resources    takes YAML documents as `kubectl apply` does: from now on these and no others count
//
// These are Istio's own resources and Secrets. A document that Istio's validation does not let pass is
// answered with 400 and its reason, and nothing changes. It ends on SIGTERM.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	kubecredentials "istio.io/istio/pilot/pkg/credentials/kube"
	"istio.io/istio/pilot/pkg/model"
	pilotxds "istio.io/istio/pilot/pkg/xds"
	v3 "istio.io/istio/pilot/pkg/xds/v3"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/kind"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/kube/multicluster"
	"istio.io/istio/pkg/security"
	"istio.io/istio/pkg/test"
	"istio.io/istio/pkg/util/sets"
	"istio.io/istio/security/pkg/server/ca/authenticate"
)

// rootNamespace is where resources that select a gateway of istio-system are.
const rootNamespace = "istio-system"

func main() {
	discovery := flag.String("discovery", "127.0.0.1:15012", "where proxies ask for their configuration")
	control := flag.String("control", "127.0.0.1:15014", "where resources are given")
	root := flag.String("root", "", "the authority of the proxies' certificates")
	certificate := flag.String("certificate", "", "the certificate that is shown to proxies")
	key := flag.String("key", "", "its key")
	flag.Parse()
	settings := mesh.DefaultMeshConfig()
	settings.RootNamespace = rootNamespace
	life := &lifetime{}
	server := xds.NewFakeDiscoveryServer(life, xds.FakeOptions{MeshConfig: settings})
	watchSecrets(life, server)
	secured, err := mutual(*root, *certificate, *key)
	if err == nil {
		err = serve(life, server.Discovery, *discovery, secured)
	}
	if err != nil {
		life.Fatal(err)
	}
	resources := &resources{
		store:   server.Store(),
		held:    map[string]config.Config{},
		client:  server.KubeClient(),
		secrets: map[string]*corev1.Secret{},
	}
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

// watchSecrets has the server find Secrets, and tell proxies of changed ones, as pilot/pkg/bootstrap does.
func watchSecrets(life *lifetime, server *xds.FakeDiscoveryServer) {
	clusters, stop := multicluster.NewFakeController(), test.NewStop(life)
	found := kubecredentials.NewMulticluster(constants.DefaultClusterName, clusters)
	found.AddSecretHandler(func(k kind.Kind, name, namespace string) {
		server.Discovery.ConfigUpdate(&model.PushRequest{
			ConfigsUpdated: sets.New(model.ConfigKey{Kind: k, Name: name, Namespace: namespace}),
			Reason:         model.NewReasonStats(model.SecretTrigger),
		})
	})
	clusters.Add(constants.DefaultClusterName, server.KubeClient(), stop)
	server.KubeClient().RunAndWait(stop)
	server.Discovery.Generators[v3.ExtensionConfigurationType].(*pilotxds.EcdsGenerator).SetCredController(found)
}

// mutual is TLS with a certificate on both sides.
func mutual(root, certificate, key string) (*tls.Config, error) {
	pem, err := os.ReadFile(root)
	if err != nil {
		return nil, err
	}
	proxies := x509.NewCertPool()
	if !proxies.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", root)
	}
	own, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{own},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    proxies,
	}, nil
}

// serve serves proxies, whom it knows by their certificates.
func serve(life *lifetime, server *pilotxds.DiscoveryServer, address string, mutual *tls.Config) error {
	server.Authenticators = []security.Authenticator{&authenticate.ClientCertAuthenticator{}}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	proxies := grpc.NewServer(grpc.Creds(credentials.NewTLS(mutual)))
	server.Register(proxies)
	life.Cleanup(proxies.Stop)
	go func() {
		if err := proxies.Serve(listener); err != nil {
			life.Fatal(err)
		}
	}()
	return nil
}

// resources is what the server was given last.
type resources struct {
	mutex   sync.Mutex
	store   model.ConfigStoreController
	held    map[string]config.Config
	client  kube.Client
	secrets map[string]*corev1.Secret
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
	secrets, others, err := divided(documents)
	if err != nil {
		return err
	}
	parsed, unknown, err := crd.ParseInputs(others)
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		return fmt.Errorf("not a resource of Istio: %s %s", unknown[0].APIVersion, unknown[0].Kind)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if err := r.replaceSecrets(secrets); err != nil {
		return err
	}
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
	log.Printf("%d resources, %d secrets", len(wanted), len(secrets))
	return err
}

func (r *resources) replaceSecrets(wanted map[string]*corev1.Secret) error {
	var err error
	for key, secret := range r.secrets {
		if _, kept := wanted[key]; !kept {
			err = errors.Join(err, r.kept(secret).Delete(context.Background(), secret.Name, metav1.DeleteOptions{}))
		}
	}
	for key, secret := range wanted {
		if _, there := r.secrets[key]; there {
			_, failed := r.kept(secret).Update(context.Background(), secret, metav1.UpdateOptions{})
			err = errors.Join(err, failed)
		} else {
			_, failed := r.kept(secret).Create(context.Background(), secret, metav1.CreateOptions{})
			err = errors.Join(err, failed)
		}
	}
	r.secrets = wanted
	return err
}

// kept is where a Secret is kept.
func (r *resources) kept(secret *corev1.Secret) typedcorev1.SecretInterface {
	return r.client.Kube().CoreV1().Secrets(secret.Namespace)
}

// divided takes the Secrets, by namespace and name, out of YAML documents: Istio's own parser knows none.
func divided(documents string) (map[string]*corev1.Secret, string, error) {
	secrets, others := map[string]*corev1.Secret{}, []string{}
	for reader := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(documents))); ; {
		document, err := reader.Read()
		if err == io.EOF {
			return secrets, strings.Join(others, "\n---\n"), nil
		}
		secret := &corev1.Secret{}
		if err == nil {
			err = yaml.Unmarshal(document, &secret.TypeMeta)
		}
		if err == nil && secret.GroupVersionKind() != corev1.SchemeGroupVersion.WithKind("Secret") {
			others = append(others, string(document))
			continue
		}
		if err == nil {
			err = yaml.Unmarshal(document, secret)
		}
		if err != nil {
			return nil, "", err
		}
		secrets[secret.Namespace+"/"+secret.Name] = secret
	}
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

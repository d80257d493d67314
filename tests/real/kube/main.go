// kube-apiserver is Kubernetes' own API server with an etcd in the same process.
//
//	kube-apiserver FOLDER FLAG…
//
// etcd keeps what it holds in FOLDER; the flags are those of kube-apiserver itself, but for --etcd-servers.
package main

import (
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "kube-apiserver FOLDER FLAG…")
		os.Exit(2)
	}
	etcd, err := etcdIn(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
	command := app.NewAPIServerCommand()
	command.SetArgs(append(os.Args[2:], "--etcd-servers=http://"+etcd.Clients[0].Addr().String()))
	code := cli.Run(command)
	etcd.Close()
	os.Exit(code)
}

// etcdIn is an etcd of one member on ports that the kernel chooses. It writes without fsync: it is for tests.
func etcdIn(folder string) (*embed.Etcd, error) {
	settings := embed.NewConfig()
	settings.Dir = folder
	settings.LogLevel = "fatal" // below that it reports its own end as a dozen errors
	settings.UnsafeNoFsync = true
	chosen := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	settings.ListenClientUrls, settings.AdvertiseClientUrls = chosen, chosen
	settings.ListenPeerUrls, settings.AdvertisePeerUrls = chosen, chosen
	settings.InitialCluster = settings.InitialClusterFromName(settings.Name)
	etcd, err := embed.StartEtcd(settings)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, err
	case <-time.After(time.Minute):
		etcd.Close()
		return nil, fmt.Errorf("not ready after a minute")
	}
}

// SPDX-License-Identifier: Apache-2.0

// Command opm-witness tells what OLM's own code makes of a file-based catalog.
//
// It links operator-registry, the library behind `opm`, and so reads, validates, renders and serves a catalog exactly as
// a cluster's catalog pod does. What it prints is compared with what oc-mirror says of the same catalog.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sort"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/operator-framework/operator-registry/alpha/declcfg"
	"github.com/operator-framework/operator-registry/alpha/property"
	"github.com/operator-framework/operator-registry/pkg/api"
	"github.com/operator-framework/operator-registry/pkg/cache"
	"github.com/operator-framework/operator-registry/pkg/lib/config"
	"github.com/operator-framework/operator-registry/pkg/server"
)

const usage = `usage: opm-witness validate DIR   load and validate the catalog in DIR; silent when it is valid
       opm-witness render DIR     print all documents of the catalog in DIR as JSON
       opm-witness serve DIR      serve the catalog in DIR on a free loopback port, ask for everything, print it
       opm-witness query ADDR     ask a registry server that runs already (host:port), print the same`

// How long a server may take to be there, and then to answer everything. Building its cache is not counted.
const (
	readyTimeout = 20 * time.Second
	queryTimeout = 5 * time.Minute
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	commands := map[string]func(context.Context, string) error{
		"validate": validate,
		"render":   render,
		"serve":    serve,
		"query":    query,
	}
	run, ok := commands[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// catalog opens a directory, or says that it is none; operator-registry would walk a missing one less clearly.
func catalog(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%q is not a directory", dir)
	}
	return dir, nil
}

// validate makes the one call that `opm validate` makes.
func validate(ctx context.Context, dir string) error {
	dir, err := catalog(dir)
	if err != nil {
		return err
	}
	return config.Validate(ctx, os.DirFS(dir))
}

// render prints what `opm render DIR` prints: it loads without validating, moves the large properties of a bundle to
// the end of their list, sorts its related images, and writes package by package.
func render(ctx context.Context, dir string) error {
	dir, err := catalog(dir)
	if err != nil {
		return err
	}
	cfg, err := declcfg.LoadFS(ctx, os.DirFS(dir))
	if err != nil {
		return err
	}
	for _, b := range cfg.Bundles {
		slices.SortStableFunc(b.Properties, func(x, y property.Property) int {
			return cmp.Compare(largeLast(x), largeLast(y))
		})
		// The same sort as in `opm render`: an unstable one may order two names of one image differently.
		sort.Slice(b.RelatedImages, func(i, j int) bool {
			return b.RelatedImages[i].Image < b.RelatedImages[j].Image
		})
	}
	return declcfg.WriteJSON(*cfg, os.Stdout)
}

func largeLast(p property.Property) int {
	if p.Type == property.TypeBundleObject || p.Type == property.TypeCSVMetadata {
		return 1
	}
	return 0
}

// serve starts the server of `opm serve DIR` over a fresh cache in a temporary directory, then asks it for everything. It
// listens on loopback alone, and has neither opm's profiling port nor its termination log.
func serve(ctx context.Context, dir string) (err error) {
	dir, err = catalog(dir)
	if err != nil {
		return err
	}
	cacheDir, err := os.MkdirTemp("", "opm-witness-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cacheDir)) }()

	store, err := cache.New(cacheDir)
	if err != nil {
		return fmt.Errorf("open the cache: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := cache.LoadOrRebuild(ctx, store, os.DirFS(dir)); err != nil {
		return fmt.Errorf("load or rebuild the cache: %w", err)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	registry := grpc.NewServer()
	api.RegisterRegistryServer(registry, server.NewRegistryServer(store))
	health.RegisterHealthServer(registry, server.NewHealthServer())
	reflection.Register(registry)
	stopped := make(chan error, 1)
	go func() { stopped <- registry.Serve(listener) }()

	err = query(ctx, listener.Addr().String())
	registry.GracefulStop()
	return errors.Join(err, <-stopped)
}

type report struct {
	Packages []packageReport `json:"packages"`
	Bundles  []bundleReport  `json:"bundles"`
}

type packageReport struct {
	Name           string          `json:"name"`
	DefaultChannel string          `json:"defaultChannel"`
	Channels       []channelReport `json:"channels"`
}

// channelReport names a channel and its head.
type channelReport struct {
	Name    string `json:"name"`
	CSVName string `json:"csvName"`
}

// bundleReport is one entry of one channel: a bundle in two channels is there twice.
type bundleReport struct {
	Package    string `json:"package"`
	Channel    string `json:"channel"`
	CSVName    string `json:"csvName"`
	BundlePath string `json:"bundlePath"`
	Version    string `json:"version"`
}

// query asks a registry server as OLM does, without TLS and within gRPC's own limit of 4 MiB for one answer.
func query(ctx context.Context, address string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()

	ready, cancelReady := context.WithTimeout(ctx, readyTimeout)
	defer cancelReady()
	checked, err := health.NewHealthClient(conn).Check(ready, &health.HealthCheckRequest{Service: "Registry"}, grpc.WaitForReady(true))
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if status := checked.GetStatus(); status != health.HealthCheckResponse_SERVING {
		return fmt.Errorf("health: the server says %s", status)
	}
	found, err := ask(ctx, api.NewRegistryClient(conn))
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(found)
}

func ask(ctx context.Context, client api.RegistryClient) (*report, error) {
	found := &report{Packages: []packageReport{}, Bundles: []bundleReport{}}
	listing, err := client.ListPackages(ctx, &api.ListPackageRequest{})
	if err != nil {
		return nil, fmt.Errorf("ListPackages: %w", err)
	}
	names, err := all(listing.Recv)
	if err != nil {
		return nil, fmt.Errorf("ListPackages: %w", err)
	}

	type place struct{ pkg, channel string }
	heads := map[place]string{}
	for _, name := range names {
		pkg, err := client.GetPackage(ctx, &api.GetPackageRequest{Name: name.GetName()})
		if err != nil {
			return nil, fmt.Errorf("GetPackage %q: %w", name.GetName(), err)
		}
		channels := []channelReport{}
		for _, c := range pkg.GetChannels() {
			channels = append(channels, channelReport{Name: c.GetName(), CSVName: c.GetCsvName()})
			heads[place{pkg.GetName(), c.GetName()}] = c.GetCsvName()
		}
		slices.SortFunc(channels, func(x, y channelReport) int { return cmp.Compare(x.Name, y.Name) })
		found.Packages = append(found.Packages, packageReport{
			Name:           pkg.GetName(),
			DefaultChannel: pkg.GetDefaultChannelName(),
			Channels:       channels,
		})
	}
	slices.SortFunc(found.Packages, func(x, y packageReport) int { return cmp.Compare(x.Name, y.Name) })

	entries, err := client.ListBundles(ctx, &api.ListBundlesRequest{})
	if err != nil {
		return nil, fmt.Errorf("ListBundles: %w", err)
	}
	listed, err := all(entries.Recv)
	if err != nil {
		return nil, fmt.Errorf("ListBundles: %w", err)
	}
	seen := map[place]bool{}
	for _, b := range listed {
		at := place{b.GetPackageName(), b.GetChannelName()}
		head, ok := heads[at]
		if !ok {
			return nil, fmt.Errorf("ListBundles has %q in channel %q of package %q, which GetPackage does not have", b.GetCsvName(), at.channel, at.pkg)
		}
		want := bundleOf(b)
		// What is installed comes from GetBundle, so that is what is printed; the list has to agree with it.
		bundle, err := client.GetBundle(ctx, &api.GetBundleRequest{PkgName: want.Package, ChannelName: want.Channel, CsvName: want.CSVName})
		if err != nil {
			return nil, fmt.Errorf("GetBundle %q in channel %q of package %q: %w", want.CSVName, want.Channel, want.Package, err)
		}
		got := bundleOf(bundle)
		if got != want {
			return nil, fmt.Errorf("GetBundle says %+v where ListBundles says %+v", got, want)
		}
		found.Bundles = append(found.Bundles, got)
		seen[at] = seen[at] || got.CSVName == head
	}
	for at, head := range heads {
		if !seen[at] {
			return nil, fmt.Errorf("channel %q of package %q has the head %q, which ListBundles does not have", at.channel, at.pkg, head)
		}
	}
	slices.SortFunc(found.Bundles, func(x, y bundleReport) int {
		return cmp.Or(cmp.Compare(x.Package, y.Package), cmp.Compare(x.Channel, y.Channel), cmp.Compare(x.CSVName, y.CSVName))
	})
	return found, nil
}

func bundleOf(b *api.Bundle) bundleReport {
	return bundleReport{
		Package:    b.GetPackageName(),
		Channel:    b.GetChannelName(),
		CSVName:    b.GetCsvName(),
		BundlePath: b.GetBundlePath(),
		Version:    b.GetVersion(),
	}
}

// all receives a stream to its end.
func all[T any](next func() (T, error)) ([]T, error) {
	var received []T
	for {
		item, err := next()
		if errors.Is(err, io.EOF) {
			return received, nil
		}
		if err != nil {
			return nil, err
		}
		received = append(received, item)
	}
}

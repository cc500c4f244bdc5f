// Cluster is three DTLS servers behind a balancer, which survive each other: every
// connection lives in Redis too, so that when a server is killed another one goes on
// with its devices. These notice nothing but a datagram that got lost.
//
//	cluster [-redis ADDR] [-seconds N] [demo]    all of it, with a device that keeps
//	                                             talking while servers are killed
//	cluster node NUMBER BALANCER REDIS           one server, as the demo starts them
//
// Without -redis the demo starts a redis-server of its own.
//
// What makes it work: the connection ID on each record carries the number of the
// server that made it, encrypted, so that the balancer can route without knowing any
// connection (balancer.go); Config.Store keeps each connection in Redis, with record
// numbers reserved ahead, so that none is used twice (node.go); and a Listener that gets
// a record of a connection that it doesn't know looks there.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/godwit-dtls/godwit/e2e/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	redisAddress := flags.String("redis", "", "address of a Redis server; without it one is started")
	seconds := flags.Int("seconds", 8, "how long the demo takes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch args := flags.Args(); {
	case len(args) == 0 || len(args) == 1 && args[0] == "demo":
		return demo(ctx, *redisAddress, time.Duration(*seconds)*time.Second, out)
	case len(args) == 4 && args[0] == "node":
		return serveNode(ctx, args[1], args[2], args[3])
	}
	return errors.New("expected nothing, demo, or node NUMBER BALANCER REDIS")
}

// secretVariable is where a node finds the cluster's secret: not among its arguments,
// which everybody on the machine can read.
const secretVariable = "CLUSTER_SECRET"

// serveNode is a server in a process of its own, until it is killed.
func serveNode(ctx context.Context, number, balancer, redisAddress string) error {
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return err
	}
	at, err := netip.ParseAddrPort(balancer)
	if err != nil {
		return err
	}
	secret, err := hex.DecodeString(os.Getenv(secretVariable))
	if err != nil || len(secret) != len(secrets{}) {
		return fmt.Errorf("expected %d bytes in hex in %s", len(secrets{}), secretVariable)
	}
	client := redis.NewClient(&redis.Options{Addr: redisAddress})
	defer client.Close()
	node, err := newNode(n, at, secrets(secret), store.Redis{Client: client, Prefix: "godwit:"})
	if err != nil {
		return err
	}
	defer node.Close()
	<-ctx.Done()
	return nil
}

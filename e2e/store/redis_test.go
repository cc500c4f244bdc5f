package store

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// dial connects to the socket of a Redis.
func dial(socket string) *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
}

// startRedis starts a Redis of the test's own, and returns its socket.
func startRedis(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "redis") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	p := exec.Command(program, "--port", "0", "--unixsocket", socket, "--dir", dir, "--appendonly", "yes", "--appendfsync", "always")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	client := dial(socket)
	defer client.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if err := client.Ping(context.Background()).Err(); err == nil {
			return socket
		} else if time.Now().After(end) {
			t.Fatalf("redis-server: %v", err)
		}
	}
}

func TestRedis(t *testing.T) {
	socket := startRedis(t)
	client := dial(socket)
	defer client.Close()
	testContract(t, Redis{client, "godwit:"}, "GODWIT_REDIS="+socket)
}

func TestRedisRestart(t *testing.T) {
	socket := startRedis(t)
	client := dial(socket)
	defer client.Close()
	testRestart(t, Redis{client, "godwit:"}, "GODWIT_REDIS="+socket)
}

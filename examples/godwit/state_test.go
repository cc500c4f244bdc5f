package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const nestKey = "nest:00112233445566778899aabbccddeeff"

// With -cid records carry what the other side asks for.
func TestConnectionIDs(t *testing.T) {
	for _, p := range protocols[:2] {
		for _, c := range []struct {
			name           string
			client, server []string
			toClient       int // bytes
			toServer       int
		}{
			{"both", []string{"-cid", "4", "-rrc"}, []string{"-cid", "8", "-rrc"}, 4, 8},
			{"the client writes one", []string{"-cid", "0"}, []string{"-cid", "8"}, 0, 8},
			{"a server without", []string{"-cid", "4"}, nil, 0, 0},
		} {
			t.Run(p.name+", "+c.name, func(t *testing.T) {
				t.Parallel()
				s := startServer(t, with(with(p.flags, c.server...), "-psk", nestKey, "-once", "1", "-json")...)
				ours := godwit(t, nil, client(with(p.flags, c.client...), "-psk", nestKey, "-send", "tweet", "-json", s.address)...).expect(t, 0).report(t)
				theirs := s.end(t).expect(t, 0).report(t)
				toClient, _ := ours["cid_local"].(string)
				toServer, _ := ours["cid_remote"].(string)
				if len(toClient) != 2*c.toClient || len(toServer) != 2*c.toServer || theirs["cid_remote"] != toClient || theirs["cid_local"] != toServer {
					t.Errorf("the client reports %v, the server %v", ours, theirs)
				}
			})
		}
	}
}

// With -state both sides go on with one connection where they ended, after each
// other and together, and nobody can go on with it twice.
func TestState(t *testing.T) {
	for _, p := range protocols[:2] {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			files := [2]string{filepath.Join(t.TempDir(), "client"), filepath.Join(t.TempDir(), "server")}
			flags := with(p.flags, "-psk", nestKey, "-cid", "8", "-json", "-export", "EXPERIMENTAL-nest:20")
			ask := func(address, text string) map[string]any {
				t.Helper()
				r := godwit(t, nil, client(flags, "-state", files[0], "-send", text, address)...).expect(t, 0)
				if !strings.HasPrefix(r.stdout, text+"\n{") {
					t.Fatalf("the client printed %q", r.stdout)
				}
				return r.report(t)
			}
			s := startServer(t, with(flags, "-state", files[1])...)
			first, second := ask(s.address, "one"), ask(s.address, "two")
			s.interrupt()
			served := s.end(t).expect(t, 0).report(t)
			for _, file := range files {
				if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
					t.Fatalf("%v, %v", info, err)
				}
			}
			again := startServerAt(t, s.address, with(flags, "-state", files[1])...)
			if _, err := os.Stat(files[1]); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the server's state is still there: %v", err)
			}
			third := ask(again.address, "three")
			again.interrupt()
			again.end(t).expect(t, 0)
			if first["exporter"] == "" || served["bytes_in"] != 6.0 {
				t.Errorf("the server reports %v", served)
			}
			for _, r := range []map[string]any{second, third, served} {
				if r["exporter"] != first["exporter"] {
					t.Errorf("another connection: %v", r)
				}
			}
		})
	}
}

// What can't be gone on with is said.
func TestWrongState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	for _, text := range []string{"", "{", `{"key":"AAAA","connections":[{"local":"127.0.0.1:0","blob":"AAAA"}]}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := godwit(t, nil, "connect", "-psk", nestKey, "-state", file, "127.0.0.1:1"); r.status == 0 || r.stderr == "" {
			t.Errorf("%q: status %d, %q", text, r.status, r.stderr)
		}
	}
}

package handshake

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// TestKeyLog: both sides log the same lines, which are the secrets in use
// (RFC 9850).
func TestKeyLog(t *testing.T) {
	labels := map[bool][]string{
		false: {"CLIENT_RANDOM"},
		true: {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "EXPORTER_SECRET",
			"SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"},
	}
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		var logs [2]bytes.Buffer
		client.KeyLogWriter, server.KeyLogWriter = &logs[0], &logs[1]
		p := complete(t, transport, client, server)
		random := fmt.Sprintf("%x", parseHello(t, p.client.sent[0], transport).Random)
		var secrets [2]map[string]string
		for i := range logs {
			secrets[i] = map[string]string{}
			for line := range strings.Lines(logs[i].String()) {
				fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
				if len(fields) != 3 || fields[1] != random || secrets[i][fields[0]] != "" {
					t.Fatalf("line %q", line)
				}
				if secret, err := hex.DecodeString(fields[2]); err != nil || len(secret) != map[bool]int{false: 48, true: 32}[v.Is13()] {
					t.Errorf("secret %q", fields[2])
				}
				secrets[i][fields[0]] = fields[2]
			}
		}
		if got := slices.Sorted(maps.Keys(secrets[0])); !slices.Equal(got, labels[v.Is13()]) {
			t.Errorf("labels %q", got)
		}
		if !maps.Equal(secrets[0], secrets[1]) {
			t.Error("the logs differ")
		}
		m := p.client.m
		if v.Is13() && secrets[0]["CLIENT_TRAFFIC_SECRET_0"] != fmt.Sprintf("%x", m.secrets13.client.Bytes()) ||
			!v.Is13() && secrets[0]["CLIENT_RANDOM"] != fmt.Sprintf("%x", m.secrets12.master.Bytes()) {
			t.Error("the log has other secrets than the connection")
		}
	})
}

// A brokenWriter takes nothing.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

// TestBrokenKeyLog: a log that can't be written ends no connection.
func TestBrokenKeyLog(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		client.KeyLogWriter = brokenWriter{}
		complete(t, transport, client, server)
	})
}

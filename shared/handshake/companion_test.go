package handshake

import (
	"runtime"
	"testing"
	"weak"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// countingIDs counts how often it is asked for an ID, and takes it for one of length bytes.
type countingIDs struct {
	asked  *int
	length int
}

func (g countingIDs) New() []byte    { *g.asked++; return []byte("id") }
func (g countingIDs) Len([]byte) int { return g.length }

// A Config that is good is looked at once for each role and transport; a bad one, and
// a copy, always.
func TestValidateRemembers(t *testing.T) {
	asked, askedBad := 0, 0
	c := &Config{ServerName: testName, ConnectionIDs: countingIDs{&asked, 2}}
	bad := &Config{ServerName: testName, ConnectionIDs: countingIDs{&askedBad, 3}}
	for range 3 {
		if err := c.Validate(Client, protocol.Datagram); err != nil {
			t.Fatal(err)
		}
		if err := bad.Validate(Client, protocol.Datagram); err == nil {
			t.Error("an ID of two bytes is taken for one of three")
		}
	}
	if asked != 1 || askedBad != 3 {
		t.Errorf("asked for %d and %d IDs, expected 1 where the Config is good and 3 where it is bad", asked, askedBad)
	}
	changed := *c
	changed.MTU = 1
	if err := changed.Validate(Client, protocol.Datagram); err == nil {
		t.Error("a copy is taken for what it was copied from")
	}
}

// What is known of a Config doesn't keep it alive.
func TestConfigIsForgotten(t *testing.T) {
	c := &Config{ServerName: testName}
	if err := c.Validate(Client, protocol.Stream); err != nil {
		t.Fatal(err)
	}
	c.ticketKeys()
	p := weak.Make(c)
	runtime.GC()
	if p.Value() != nil {
		t.Error("a Config that nobody has is still there")
	}
}

package handshake

import "testing"

// Each kind of event has a name of its own.
func TestEventKinds(t *testing.T) {
	names := map[string]bool{}
	for k := EventDatagram; k <= EventStep; k++ {
		if names[k.String()] {
			t.Errorf("%v is the name of two", k)
		}
		names[k.String()] = true
	}
}

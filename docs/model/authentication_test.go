package model

import (
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/mealy"
)

// TestAuthentication reads each machine for what it takes until a connection is open.
func TestAuthentication(t *testing.T) {
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			predicted, _ := m.predict()
			m.checkAuthentication(t, predicted)
		})
	}
}

// checkAuthentication checks that no word leads to an open connection, or to data, without
// what authenticates the peer; that data comes from open connections alone; and that both
// can be had.
func (m mode) checkAuthentication(t *testing.T, machine *mealy.Machine) {
	t.Helper()
	opens := func(output string) bool { return says(output, "OPEN") || says(output, "DATA") }
	check := func(what string, proof []string, never ...string) {
		t.Helper()
		shown := func(n int, input, output string) int {
			if n < len(proof) && input == proof[n] {
				n++
			}
			return n
		}
		if w := without(machine, shown, len(proof), opens, never); w != nil {
			outputs, _ := machine.Run(w)
			t.Errorf("%s: open without %q: %q is answered by %q", what, proof, machine.Spell(w), outputs)
		}
		if all := append(slices.Clone(proof), "nothing more"); without(machine, shown, len(all), opens, never) == nil {
			t.Errorf("%s: never open", what)
		}
	}
	other := func(a authentication) []string { return mode{m.version, m.role, a}.proof() }
	switch client := m.role == handshake.Client; {
	case client && m.authentication == resumed:
		check("the session is resumed", m.proof(), "ServerHello")
		check("the session is not resumed", other(serverAlone), m.proof()[0])
	case !client && m.authentication == optional:
		check("the client may have a certificate", m.proof())
		check("the client has a certificate", other(mutual), emptyCertificate)
	default:
		check("the peer authenticates by "+string(m.authentication), m.proof())
	}
	opened := func(n int, _, output string) int {
		if says(output, "OPEN") {
			return 1
		}
		return n
	}
	if w := without(machine, opened, 1, func(output string) bool { return says(output, "DATA") }, nil); w != nil {
		t.Errorf("data before the handshake is complete: %q", machine.Spell(w))
	}
}

// proof is what a peer must have said, in this order, before anybody believes it.
func (m mode) proof() []string {
	client, psk, session := m.role == handshake.Client, m.authentication == sharedKey, m.authentication == resumed
	switch {
	case m.version.Is13() && client && (psk || session):
		return []string{selectingPSK, "EncryptedExtensions", "Finished"}
	case m.version.Is13() && client:
		return []string{"ServerHello", "EncryptedExtensions", "Certificate", "CertificateVerify", "Finished"}
	case m.version.Is13() && m.authentication == mutual:
		return []string{"ClientHello", "Certificate", "CertificateVerify", "Finished"}
	case m.version.Is13():
		return []string{"ClientHello", "Finished"}
	case client && session:
		return []string{resuming, "ChangeCipherSpec", "Finished"}
	case session:
		return []string{"ClientHello", "ChangeCipherSpec", "Finished"}
	case client && psk:
		return []string{"ServerHello", "ServerHelloDone", "ChangeCipherSpec", "Finished"}
	case client:
		return []string{"ServerHello", "Certificate", "ServerKeyExchange", "ServerHelloDone", "ChangeCipherSpec", "Finished"}
	case m.authentication == mutual:
		return []string{"ClientHello", "Certificate", "ClientKeyExchange", "CertificateVerify", "ChangeCipherSpec", "Finished"}
	}
	return []string{"ClientHello", "ClientKeyExchange", "ChangeCipherSpec", "Finished"}
}

// says reports whether an output has a word.
func says(output, word string) bool { return slices.Contains(strings.Fields(output), word) }

// without returns a shortest word that ends with an output that counts, though by then
// progress has not come to the goal; nil if there is none. It does without some inputs.
func without(m *mealy.Machine, progress func(n int, input, output string) int, goal int, counts func(output string) bool, never []string) mealy.Word {
	type at struct{ state, progress int }
	type way struct {
		at
		word mealy.Word
	}
	seen := map[at]bool{{}: true}
	for queue := []way{{}}; len(queue) > 0; queue = queue[1:] {
		w := queue[0]
		for input, e := range m.States[w.state] {
			if slices.Contains(never, m.Inputs[input]) {
				continue
			}
			next := at{e.To, progress(w.progress, m.Inputs[input], e.Output)}
			word := append(slices.Clone(w.word), input)
			switch {
			case counts(e.Output) && next.progress < goal:
				return word
			case !seen[next]:
				seen[next] = true
				queue = append(queue, way{next, word})
			}
		}
	}
	return nil
}

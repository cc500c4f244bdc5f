package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/mealy"
)

// TestAuthentication reads each machine for what it takes until a connection is open, and
// each machine that would skip something: where Finished ends it, it opens.
func TestAuthentication(t *testing.T) {
	tries := 0
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			predicted, _ := m.predict()
			if fault := m.opensTooEarly(predicted); fault != "" {
				t.Fatal(fault)
			}
			finished := slices.Index(predicted.Inputs, "Finished")
			opens := slices.IndexFunc(predicted.States, func(edges []mealy.Edge) bool { return says(edges[finished].Output, "OPEN") })
			skips := predicted.States[opens][finished]
			for state, access := range predicted.Access() {
				answers, _ := predicted.Run(access)
				edge := &predicted.States[state][finished]
				if says(strings.Join(answers, " "), "OPEN") || !refuses(edge.Output) {
					continue
				}
				if tries++; !full && tries%7 != 0 {
					continue
				}
				lawful := *edge
				if *edge = skips; m.opensTooEarly(predicted) == "" {
					t.Errorf("nothing is wrong about Finished after %q", predicted.Spell(access))
				}
				*edge = lawful
			}
		})
	}
}

// opensTooEarly looks for a word that leads to an open connection, or to data, without
// what authenticates the peer; for data of a connection that isn't open; and for one that
// never is. It says what it has found.
func (m mode) opensTooEarly(machine *mealy.Machine) (fault string) {
	opens := func(output string) bool { return says(output, "OPEN") || says(output, "DATA") }
	check := func(proof []string, never ...string) {
		shown := func(n int, input, _ string) int {
			if n < len(proof) && input == proof[n] {
				n++
			}
			return n
		}
		if w := without(machine, shown, len(proof), opens, never); w != nil {
			outputs, _ := machine.Run(w)
			fault = fmt.Sprintf("open without %q: %q is answered by %q", proof, machine.Spell(w), outputs)
		} else if without(machine, shown, len(proof)+1, opens, never) == nil {
			fault = fmt.Sprintf("never open in spite of %q", proof)
		}
	}
	other := func(a authentication) []string { return mode{m.version, m.role, a}.proof() }
	switch client := m.role == handshake.Client; {
	case client && m.authentication == resumed:
		check(m.proof(), "ServerHello")
		check(other(serverAlone), m.proof()[0])
	case !client && m.authentication == optional:
		check(m.proof())
		check(other(mutual), emptyCertificate)
	default:
		check(m.proof())
	}
	opened := func(n int, _, output string) int {
		if says(output, "OPEN") {
			return 1
		}
		return n
	}
	if w := without(machine, opened, 1, func(output string) bool { return says(output, "DATA") }, nil); w != nil {
		fault = fmt.Sprintf("data of a connection that is not open: %q", machine.Spell(w))
	}
	return fault
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

// refuses reports whether an output is the answer to what may not come.
func refuses(output string) bool { return strings.HasSuffix(output, "alert(unexpected_message) END") }

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

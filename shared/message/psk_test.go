package message_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A parser is a message that isn't found by its type alone.
type parser interface {
	appender
	Parse([]byte) error
}

var pskMessages = []struct {
	name  string
	empty func() parser
	make  func(s source) parser
	head  func(m parser) parser // without the share, where a prefix is a message too
}{
	{"ServerKeyExchangePSK", func() parser { return new(message.ServerKeyExchangePSK) },
		func(s source) parser { return &message.ServerKeyExchangePSK{Hint: s.bytes(0, 300)} }, nil},
	{"ServerKeyExchangePSK with a share", func() parser { return new(message.ServerKeyExchangePSK) },
		func(s source) parser {
			return &message.ServerKeyExchangePSK{Hint: s.bytes(0, 300), Group: uint16(s.Uint32()), Public: s.bytes(1, 255)}
		},
		func(m parser) parser {
			return &message.ServerKeyExchangePSK{Hint: m.(*message.ServerKeyExchangePSK).Hint}
		}},
	{"ClientKeyExchangePSK", func() parser { return new(message.ClientKeyExchangePSK) },
		func(s source) parser { return &message.ClientKeyExchangePSK{Identity: s.bytes(0, 300)} }, nil},
	{"ClientKeyExchangePSK with a share", func() parser { return new(message.ClientKeyExchangePSK) },
		func(s source) parser {
			return &message.ClientKeyExchangePSK{Identity: s.bytes(0, 300), Public: s.bytes(1, 255)}
		},
		func(m parser) parser {
			return &message.ClientKeyExchangePSK{Identity: m.(*message.ClientKeyExchangePSK).Identity}
		}},
}

func TestPSKMessages(t *testing.T) {
	for _, test := range pskMessages {
		t.Run(test.name, func(t *testing.T) {
			for seed := range uint64(20) {
				want := test.make(newSource(seed))
				body := appended(want.Append)
				got := test.empty()
				if err := got.Parse(body); err != nil || !bytes.Equal(appended(got.Append), body) {
					t.Fatalf("seed %d: %x was read as %+v, %v", seed, body, got, err)
				}
				head := -1
				if test.head != nil {
					head = len(appended(test.head(want).Append))
				}
				for n := range body {
					if err := got.Parse(body[:n:n]); n == head {
						if err != nil {
							t.Fatalf("seed %d: without its share: %v", seed, err)
						}
					} else {
						wantAlert(t, err, alert.DecodeError, "")
					}
				}
				if test.head != nil {
					wantAlert(t, got.Parse(append(slices.Clone(body), 0)), alert.DecodeError, "after its end")
				}
			}
		})
	}
	wantAlert(t, new(message.ServerKeyExchangePSK).Parse([]byte("\x00\x00\x01\x00\x17\x01p")), alert.IllegalParameter, "curve_type")
	wantAlert(t, new(message.ServerKeyExchangePSK).Parse([]byte("\x00\x00\x03\x00\x17\x00")), alert.DecodeError, "public: length 0")
	wantAlert(t, new(message.ClientKeyExchangePSK).Parse([]byte("\x00\x00\x00")), alert.DecodeError, "public: length 0")
}

func exampleIdentity(s source) *message.ImportedIdentity {
	return &message.ImportedIdentity{
		External: s.bytes(1, 99), Context: s.bytes(0, 99), Protocol: protocol.Version(s.Uint32()), KDF: uint16(s.Uint32()),
	}
}

func TestImportedIdentity(t *testing.T) {
	for seed := range uint64(20) {
		want := exampleIdentity(newSource(seed))
		raw := appended(want.Append)
		var got message.ImportedIdentity
		if !got.Parse(raw) || !reflect.DeepEqual(&got, want) {
			t.Fatalf("%+v was read as %+v", want, got)
		}
		for n := range raw {
			if got.Parse(raw[:n]) {
				t.Fatalf("%d of %d bytes are read", n, len(raw))
			}
		}
		if got.Parse(append(slices.Clone(raw), 0)) {
			t.Fatal("a byte too many is read")
		}
		if n := testing.AllocsPerRun(10, func() { got.Parse(raw) }); n != 0 {
			t.Fatalf("%v allocations", n)
		}
	}
	if new(message.ImportedIdentity).Parse(make([]byte, 8)) {
		t.Error("an empty external_identity is read")
	}
}

// FuzzPSK takes the first byte as the kind of what follows: what parses is
// appended as the same bytes.
func FuzzPSK(f *testing.F) {
	for i, test := range pskMessages {
		f.Add(append([]byte{byte(i)}, appended(test.make(newSource(1)).Append)...))
	}
	f.Add(append([]byte{byte(len(pskMessages))}, appended(exampleIdentity(newSource(1)).Append)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		var again func(*wire.Builder)
		kind, body := int(data[0]), data[1:]
		if kind < len(pskMessages) {
			m := pskMessages[kind].empty()
			if m.Parse(body) != nil {
				return
			}
			again = m.Append
		} else {
			var id message.ImportedIdentity
			if !id.Parse(body) {
				return
			}
			again = id.Append
		}
		if got := appended(again); !bytes.Equal(got, body) {
			t.Fatalf("%x was appended as %x", body, got)
		}
	})
}

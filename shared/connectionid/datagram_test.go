package connectionid

import (
	"bytes"
	"testing"
)

func TestInDatagram(t *testing.T) {
	header := "\xfe\xfd" + "\x00\x01" + "\x00\x00\x00\x00\x00\x05" // version, epoch and number of 1.2
	for name, c := range map[string]struct{ datagram, want string }{
		"nothing":                        {"", ""},
		"1.2 with an ID":                 {"\x19" + header + "ID\x00\x01x", "ID\x00\x01x"},
		"1.2 with an ID, cut":            {"\x19" + header[:9], ""},
		"1.2 with an ID, cut before it":  {"\x19" + header, ""},
		"1.2 without":                    {"\x17" + header + "\x00\x01x", ""},
		"plaintext":                      {"\x16" + header + "\x00\x01x", ""},
		"1.3 with an ID":                 {"\x3fID123456", "ID123456"},
		"1.3, the shortest header":       {"\x30ID123456", "ID123456"},
		"1.3, cut before the ID":         {"\x3f", ""},
		"1.3 without":                    {"\x2f12345678", ""},
		"QUIC":                           {"\x40ID123456", ""},
		"STUN":                           {"\x00\x01\x00\x00\x21\x12\xa4\x42............", ""},
		"the bits of 1.3 with a bit set": {"\x70ID123456", ""},
	} {
		if got := InDatagram([]byte(c.datagram)); string(got) != c.want {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
		}
	}
}

func FuzzInDatagram(f *testing.F) {
	f.Add([]byte("\x19\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x05ID"))
	f.Add([]byte("\x3fID"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := InDatagram(b)
		if len(got) > 0 && (len(b)-len(got) != 1 && len(b)-len(got) != 11 || !bytes.HasSuffix(b, got)) {
			t.Fatalf("%x: %x", b, got)
		}
	})
}

package record

import (
	"bytes"
	"testing"
)

func TestCopy(t *testing.T) {
	from := make([]byte, 9000)
	for i := range from {
		from[i] = byte(i ^ i>>8)
	}
	for _, have := range []int{0, 1, 2046, 2047, 2048, 4094, 4095, 9000} {
		for _, room := range []int{0, 1, 2046, 2047, 2048, 4094, 4095, 9000} {
			to := make([]byte, room+1)
			n, want := Copy(to[:room], from[:have]), min(have, room)
			if n != want || !bytes.Equal(to[:n], from[:n]) {
				t.Errorf("%d bytes into %d: %d are copied, or others", have, room, n)
			}
			if rest := to[n:]; !bytes.Equal(rest, make([]byte, len(rest))) {
				t.Errorf("%d bytes into %d: more is written", have, room)
			}
		}
	}
}

// BenchmarkCopy is Copy beside copy from behind a header of TLS.
func BenchmarkCopy(b *testing.B) {
	to, plaintext := make([]byte, 8192), make([]byte, 8192+5)[5:]
	for name, run := range map[string]func(){
		"pieces": func() { Copy(to, plaintext) },
		"whole":  func() { copy(to, plaintext) },
	} {
		b.Run(name, func(b *testing.B) {
			measured(b, len(to))
			for b.Loop() {
				run()
			}
		})
	}
}

package compress

import (
	"bytes"
	"crypto/rand"
	"runtime"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/dtls"
)

var compressors = map[string]dtls.CertificateCompressor{
	"zlib":   dtls.ZlibCompressor{},
	"brotli": Brotli{},
	"zstd":   Zstd{},
}

func TestRoundTrip(t *testing.T) {
	noise := make([]byte, 1000)
	rand.Read(noise)
	for name, c := range compressors {
		for _, message := range [][]byte{{}, {0}, bytes.Repeat([]byte("certificate"), 2000), noise} {
			compressed, err := c.Compress(message)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := c.Decompress(compressed, len(message))
			if err != nil || !bytes.Equal(got, message) {
				t.Errorf("%s: %d bytes come back as %d, %v", name, len(message), len(got), err)
			}
			for _, length := range []int{len(message) - 1, len(message) + 1} {
				if _, err := c.Decompress(compressed, max(length, 0)); err == nil && length >= 0 {
					t.Errorf("%s: %d bytes are decompressed to %d", name, len(message), length)
				}
			}
			for n := range min(len(compressed), 100) {
				if _, err := c.Decompress(compressed[:n], len(message)); err == nil && len(message) > 0 {
					t.Errorf("%s: %d of %d bytes are enough", name, n, len(compressed))
				}
			}
			if _, err := c.Decompress(append(slices.Clone(compressed), 0), len(message)); err == nil {
				t.Errorf("%s: a byte behind the compressed ones is accepted", name)
			}
		}
	}
}

// A bomb costs what it announces and what the algorithm needs, not what it holds.
func TestBomb(t *testing.T) {
	for name, c := range compressors {
		bomb, err := c.Compress(make([]byte, 1<<24))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := c.Decompress(bomb, 1<<10); err == nil {
			t.Errorf("%s: it is decompressed", name)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<24 {
			t.Errorf("%s: %d bytes are allocated for 1024", name, allocated)
		}
	}
}

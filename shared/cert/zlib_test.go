package cert

import (
	"bytes"
	"runtime"
	"slices"
	"testing"
)

func TestZlib(t *testing.T) {
	message := bytes.Repeat([]byte("certificate"), 1000)
	compressed := must(Zlib{}.Compress(message))
	if len(compressed) > 200 {
		t.Errorf("%d bytes are compressed to %d", len(message), len(compressed))
	}
	got, err := Zlib{}.Decompress(compressed, len(message))
	if err != nil || !bytes.Equal(got, message) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for n := range compressed {
		if _, err := (Zlib{}).Decompress(compressed[:n], len(message)); err == nil {
			t.Errorf("%d of %d bytes are enough", n, len(compressed))
		}
	}
	damaged := slices.Clone(compressed)
	damaged[len(damaged)-1] ^= 1
	for name, err := range map[string]error{
		"too long":  second(Zlib{}.Decompress(compressed, len(message)-1)),
		"too short": second(Zlib{}.Decompress(compressed, len(message)+1)),
		"nothing":   second(Zlib{}.Decompress(compressed, 0)),
		"a tail":    second(Zlib{}.Decompress(append(slices.Clone(compressed), 0), len(message))),
		"checksum":  second(Zlib{}.Decompress(damaged, len(message))),
	} {
		if err == nil {
			t.Errorf("%s: it is decompressed", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A bomb costs what it announces, not what it holds.
func TestZlibBomb(t *testing.T) {
	bomb := must(Zlib{}.Compress(make([]byte, 1<<24)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := (Zlib{}).Decompress(bomb, 1<<10); err == nil {
		t.Fatal("it is decompressed")
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<17 {
		t.Errorf("%d bytes are allocated for 1024 announced ones", allocated)
	}
}

package cert

import (
	"bytes"
	"crypto/x509"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"
)

// selfSigned is the DER of a new certificate.
func selfSigned(t *testing.T) []byte {
	t.Helper()
	c, err := SelfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c.Certificate[0]
}

func newCache() *cache {
	return &cache{entries: map[fingerprint]weak.Pointer[x509.Certificate]{}}
}

func TestCacheKnowsWhatIsHeld(t *testing.T) {
	k, one, other := newCache(), selfSigned(t), selfSigned(t)
	held := make([]*x509.Certificate, 8)
	var all sync.WaitGroup
	for i := range held {
		all.Go(func() { held[i], _ = k.parse(bytes.Clone(one)) })
	}
	all.Wait()
	for _, c := range held {
		if c == nil || c != held[0] || !bytes.Equal(c.Raw, one) {
			t.Fatalf("%p, want the first one, %p", c, held[0])
		}
	}
	if c, err := k.parse(other); err != nil || c == held[0] || !bytes.Equal(c.Raw, other) {
		t.Errorf("another certificate: %p, %v", c, err)
	}
	runtime.GC()
	if c, err := k.parse(one); err != nil || c != held[0] {
		t.Errorf("after a collection: %p, %v, want %p", c, err, held[0])
	}
	runtime.KeepAlive(held)
}

func TestCacheRefuses(t *testing.T) {
	k, der := newCache(), selfSigned(t)
	for range 2 {
		if c, err := k.parse(der[:len(der)-1]); err == nil || c != nil {
			t.Errorf("cut short: %v, %v", c, err)
		}
	}
	if len(k.entries) != 0 {
		t.Errorf("%d entries of what can't be parsed", len(k.entries))
	}
}

// What nobody holds takes no memory.
func TestCacheForgets(t *testing.T) {
	k := newCache()
	for range 5 {
		if _, err := k.parse(selfSigned(t)); err != nil {
			t.Fatal(err)
		}
	}
	left := func() int {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.entries)
	}
	for range 1000 { // cleanups run some time after a collection
		if left() == 0 {
			return
		}
		runtime.GC()
	}
	t.Errorf("%d entries are left", left())
}

// An entry that another certificate has taken over is not removed with the first.
func TestCacheRemovesItsOwn(t *testing.T) {
	k, der := newCache(), selfSigned(t)
	c, err := k.parse(der)
	if err != nil {
		t.Fatal(err)
	}
	for f := range k.entries {
		k.remove(f, weak.Make(new(x509.Certificate)))
	}
	if again, _ := k.parse(der); again != c {
		t.Error("removed for another")
	}
	runtime.KeepAlive(c)
}

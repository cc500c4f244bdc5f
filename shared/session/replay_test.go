package session

import (
	"encoding/binary"
	"testing"
	"time"
)

func TestReplayRegister(t *testing.T) {
	r := NewReplayRegister(3, testTime)
	record := func(key string, at, lifetime time.Duration, want bool) {
		t.Helper()
		now := testTime.Add(at)
		if fresh, _ := r.Record([]byte(key), testTime, now, now.Add(lifetime)); fresh != want {
			t.Errorf("%q at %v: fresh %v", key, at, fresh)
		}
	}
	record("a", 0, 10*time.Second, true)
	record("a", 0, 10*time.Second, false)
	record("b", 0, 5*time.Second, true)
	record("c", 1*time.Second, 10*time.Second, true)
	record("d", 2*time.Second, 10*time.Second, false) // full
	record("b", 4*time.Second, 10*time.Second, false)
	record("d", 5*time.Second, 10*time.Second, true) // b has expired
	record("a", 9*time.Second, 10*time.Second, false)
	record("a", 10*time.Second, 10*time.Second, true)
	if _, err := r.Record([]byte("e"), testTime, testTime.Add(10*time.Second), testTime.Add(time.Minute)); err == nil {
		t.Error("a full register gives no error")
	}
}

// What can have come before there was a register is not fresh, and leaves no trace.
//
// RFC 9846 8.2 [3]
func TestReplayRegisterIsYoung(t *testing.T) {
	r := NewReplayRegister(1, testTime)
	now := testTime.Add(time.Hour)
	for _, c := range []struct {
		from time.Duration
		want bool
	}{{-time.Hour, false}, {-time.Millisecond, false}, {0, true}} {
		fresh, err := r.Record([]byte("key"), testTime.Add(c.from), now, now.Add(time.Minute))
		if fresh != c.want || fresh != (err == nil) {
			t.Errorf("since %v: fresh %v, %v", c.from, fresh, err)
		}
	}
}

// It never holds more than it has room for, whatever the keys.
func TestReplayRegisterBound(t *testing.T) {
	r := NewReplayRegister(100, testTime)
	for n := range uint64(10_000) {
		now := testTime.Add(time.Duration(n) * time.Millisecond)
		r.Record(binary.BigEndian.AppendUint64(nil, n), testTime, now, now.Add(time.Duration(n%7)*time.Second))
		if len(r.known) > 100 || len(r.expiries) != len(r.known) {
			t.Fatalf("%d keys, %d expiries", len(r.known), len(r.expiries))
		}
	}
}

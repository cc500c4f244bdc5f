package retransmit

import (
	"math"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func newBackoff() *Backoff {
	return &Backoff{Initial: 400 * time.Millisecond, Max: time.Minute, Limit: 12}
}

func TestBackoffSchedule(t *testing.T) {
	b := newBackoff()
	now := start
	for i, ms := range []int{400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 60000, 60000, 60000} {
		timeout := time.Duration(ms) * time.Millisecond
		if b.Exhausted() {
			t.Fatalf("exhausted after %d expiries", i)
		}
		b.Arm(now)
		if !b.Armed() || b.Timeout() != timeout || b.Deadline() != now.Add(timeout) {
			t.Fatalf("expiry %d: timeout %v, deadline %v after now, want %v", i+1, b.Timeout(), b.Deadline().Sub(now), timeout)
		}
		if b.Expired(now) || b.Expired(now.Add(timeout-11*time.Millisecond)) || !b.Armed() {
			t.Fatalf("expiry %d came before %v", i+1, timeout)
		}
		now = now.Add(timeout)
		if !b.Expired(now) {
			t.Fatalf("expiry %d didn't come after %v", i+1, timeout)
		}
		if b.Armed() || !b.Deadline().IsZero() || b.Expired(now.Add(time.Hour)) || b.Expiries() != i+1 {
			t.Fatalf("after expiry %d: armed %v, deadline %v, %d expiries", i+1, b.Armed(), b.Deadline(), b.Expiries())
		}
	}
	if !b.Exhausted() {
		t.Error("not exhausted after the 13th expiry")
	}
	b.Reset()
	if b.Exhausted() || b.Expiries() != 0 || b.Timeout() != 400*time.Millisecond {
		t.Errorf("Reset left %d expiries, timeout %v", b.Expiries(), b.Timeout())
	}
}

func TestBackoffStartsStopped(t *testing.T) {
	b := newBackoff()
	if b.Armed() || !b.Deadline().IsZero() || b.Expired(start) || b.Expiries() != 0 {
		t.Errorf("armed %v, deadline %v", b.Armed(), b.Deadline())
	}
}

func TestBackoffIsDueALittleEarly(t *testing.T) {
	for _, test := range []struct {
		initial, early time.Duration
	}{
		{400 * time.Millisecond, 10 * time.Millisecond},
		{40 * time.Millisecond, 10 * time.Millisecond},
		{4 * time.Millisecond, time.Millisecond},
	} {
		b := &Backoff{Initial: test.initial, Max: time.Minute}
		b.Arm(start)
		due := start.Add(test.initial - test.early)
		if b.Expired(due.Add(-1)) {
			t.Errorf("%v: due more than %v early", test.initial, test.early)
		}
		if !b.Expired(due) {
			t.Errorf("%v: not due %v early", test.initial, test.early)
		}
	}
}

func TestBackoffStopKeepsTheCount(t *testing.T) {
	b := newBackoff()
	b.Arm(start)
	b.Expired(start.Add(time.Second))
	b.Arm(start)
	b.Stop()
	if b.Armed() || b.Expired(start.Add(time.Hour)) || !b.Deadline().IsZero() {
		t.Error("it runs after Stop")
	}
	if b.Arm(start); b.Deadline() != start.Add(800*time.Millisecond) {
		t.Errorf("deadline %v after start, want 800ms", b.Deadline().Sub(start))
	}
	if b.Reset(); b.Armed() {
		t.Error("it runs after Reset")
	}
}

func TestBackoffArmAgainStartsOver(t *testing.T) {
	b := newBackoff()
	b.Arm(start)
	later := start.Add(300 * time.Millisecond)
	if b.Arm(later); b.Deadline() != later.Add(400*time.Millisecond) {
		t.Errorf("deadline %v after start, want 700ms", b.Deadline().Sub(start))
	}
}

func TestBackoffSetInitial(t *testing.T) {
	for _, test := range []struct {
		name     string
		expiries int
		initial  time.Duration
		want     time.Duration // from Arm to the deadline
	}{
		{"shorter", 0, 250 * time.Millisecond, 250 * time.Millisecond},
		{"longer", 0, time.Second, time.Second},
		{"shorter, doubled", 3, 100 * time.Millisecond, 800 * time.Millisecond},
		{"longer, doubled", 3, time.Second, 8 * time.Second},
		{"longer, up to the cap", 6, 10 * time.Second, time.Minute},
		{"beyond the cap", 0, time.Hour, time.Minute},
	} {
		b := newBackoff()
		for range test.expiries {
			b.Arm(start)
			b.Expired(start.Add(time.Hour))
		}
		b.Arm(start)
		b.SetInitial(test.initial)
		if got := b.Deadline().Sub(start); got != test.want || b.Timeout() != test.want || b.Expiries() != test.expiries {
			t.Errorf("%s: deadline %v after Arm, timeout %v, want %v", test.name, got, b.Timeout(), test.want)
		}
	}
}

func TestBackoffSetInitialMayMakeItDue(t *testing.T) {
	b := newBackoff()
	b.Arm(start)
	now := start.Add(300 * time.Millisecond)
	if b.Expired(now) {
		t.Fatal("due after 300 of 400 ms")
	}
	b.SetInitial(200 * time.Millisecond)
	if b.Expiries() != 0 || !b.Deadline().Before(now) {
		t.Errorf("%d expiries, deadline %v", b.Expiries(), b.Deadline())
	}
	if !b.Expired(now) {
		t.Error("not due after 300 of 200 ms")
	}
}

func TestBackoffSetInitialOfAStoppedTimer(t *testing.T) {
	b := newBackoff()
	if b.SetInitial(time.Second); b.Armed() {
		t.Error("SetInitial started it")
	}
	if b.Arm(start); b.Deadline() != start.Add(time.Second) {
		t.Errorf("deadline %v after start, want 1s", b.Deadline().Sub(start))
	}
}

func TestBackoffDoesNotOverflow(t *testing.T) {
	b := &Backoff{Initial: time.Hour, Max: math.MaxInt64, Limit: 1000}
	for range 200 {
		b.Arm(start)
		if b.Timeout() < time.Hour {
			t.Fatalf("timeout %v after %d expiries", b.Timeout(), b.Expiries())
		}
		b.Expired(start.Add(math.MaxInt64))
	}
	if b.Timeout() != math.MaxInt64 {
		t.Errorf("timeout %v, want the cap", b.Timeout())
	}
}

// The delay that the peer may take comes once, however often the timeout doubles.
func TestBackoffDelay(t *testing.T) {
	b := newBackoff()
	b.Delay = 250 * time.Millisecond
	now := start
	for _, ms := range []int{400, 800, 1600} {
		timeout := time.Duration(ms) * time.Millisecond
		b.Arm(now)
		if b.Timeout() != timeout || b.Deadline() != now.Add(timeout+b.Delay) {
			t.Errorf("timeout %v, deadline after %v, want %v more than %v", b.Timeout(), b.Deadline().Sub(now), b.Delay, timeout)
		}
		if now = now.Add(timeout + b.Delay); !b.Expired(now) {
			t.Error("not due at its deadline")
		}
	}
}

func TestBackoffForgive(t *testing.T) {
	b := newBackoff()
	for range 3 {
		b.Arm(start)
		b.Expired(start.Add(time.Hour))
	}
	b.Arm(start)
	if b.Forgive(); !b.Armed() || b.Expiries() != 0 || b.Deadline() != start.Add(400*time.Millisecond) {
		t.Errorf("armed %v, %d expiries, deadline %v after Arm", b.Armed(), b.Expiries(), b.Deadline().Sub(start))
	}
}

func TestBackoffRan(t *testing.T) {
	b := newBackoff()
	if b.Ran(start) != 0 {
		t.Error("it ran before it was started")
	}
	b.Arm(start)
	if got := b.Ran(start.Add(time.Second)); got != time.Second {
		t.Errorf("it ran for %v, want 1s", got)
	}
	if b.Stop(); b.Ran(start.Add(time.Second)) != 0 {
		t.Error("it runs after Stop")
	}
}

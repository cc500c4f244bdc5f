package dtls

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// sleepers are Conns that share alarms, and that have nothing to do when they wake up.
func sleepers(a *alarms, n int) (conns []*Conn) {
	for range n {
		conns = append(conns, newConn(&connLink{}, newServerEngine(&Config{}), a))
	}
	return conns
}

// expect lets woken tell whether c was woken since.
func expect(c *Conn, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = at // tick takes it back
}

func woken(c *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.armed.IsZero()
}

// Each Conn is woken at its time, however often that was changed, and by one timer.
func TestAlarmsRingInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const minute, ticks = time.Minute, 60
		var a alarms
		random := rand.New(rand.NewPCG(1, 2))
		conns, due := sleepers(&a, 50), map[*Conn]time.Time{}
		for range 1000 {
			c := conns[random.IntN(len(conns))]
			if random.IntN(4) == 0 {
				a.cancel(c)
				delete(due, c)
				continue
			}
			at := time.Now().Add(time.Duration(random.IntN(ticks)+1) * minute / ticks)
			a.set(c, at)
			due[c] = at
		}
		for _, c := range conns {
			expect(c, due[c])
		}
		for range ticks {
			time.Sleep(minute / ticks)
			synctest.Wait()
			for i, c := range conns {
				if woken := woken(c); woken == time.Now().Before(due[c]) && !due[c].IsZero() {
					t.Fatalf("Conn %d, due in %v: woken is %v", i, time.Until(due[c]), woken)
				}
			}
		}
		if len(a.queue) > 0 || !a.rings.IsZero() {
			t.Errorf("%d are left, and the timer runs until %v", len(a.queue), a.rings)
		}
	})
}

// Without a Conn to wake no timer runs.
func TestAlarmsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alarms
		conns := sleepers(&a, 2)
		for _, c := range conns {
			a.set(c, time.Now().Add(time.Hour))
		}
		for _, c := range conns {
			a.cancel(c)
			a.cancel(c) // as Close may
		}
		if a.timer != nil || a.queue != nil {
			t.Error("the timer runs for nobody")
		}
	})
}

// To set alarms and to wake Conns allocates nothing but goroutines.
func TestAlarmsDoNotAllocate(t *testing.T) {
	if !Alone(t) {
		return
	}
	var a alarms
	conns := sleepers(&a, 100)
	far := time.Now().Add(time.Hour)
	set := func() {
		for i, c := range conns {
			a.set(c, far.Add(time.Duration(i)*time.Second))
		}
		for _, c := range conns {
			a.cancel(c)
		}
	}
	a.set(sleepers(&a, 1)[0], far) // for whom the timer runs on
	set()
	if n := testing.AllocsPerRun(10, set); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

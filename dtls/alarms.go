package dtls

import (
	"container/heap"
	"sync"
	"time"
)

// Alarms wake Conns when something is due. All Conns of a Listener share one, so that
// the runtime has one timer and not one for each of them; who is at rest isn't in it.
type alarms struct {
	mu    sync.Mutex // held for a moment only; whoever has it takes no other
	queue alarmQueue
	timer *time.Timer
	rings time.Time // when timer fires; zero when it doesn't
}

// set lets a Conn be woken at a time, instead of when was set before.
func (a *alarms) set(c *Conn, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.alarm.at = at; c.alarm.place > 0 {
		heap.Fix(&a.queue, c.alarm.place-1)
	} else {
		heap.Push(&a.queue, c)
	}
	a.arm()
}

// cancel lets a Conn sleep.
func (a *alarms) cancel(c *Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.alarm.place > 0 {
		heap.Remove(&a.queue, c.alarm.place-1)
	}
	if len(a.queue) == 0 && a.timer != nil {
		a.timer.Stop()
		a.rest()
	}
}

// arm sets the timer to the first alarm. One that would ring before it may do so, and
// is set anew then.
func (a *alarms) arm() {
	first := a.queue[0].alarm.at
	switch {
	case !a.rings.IsZero() && !first.Before(a.rings):
		return
	case a.timer == nil:
		a.timer = time.AfterFunc(time.Until(first), a.ring)
	default:
		a.timer.Reset(time.Until(first))
	}
	a.rings = first
}

// ring wakes those whose time has come, each on a goroutine of its own: it may have to
// wait for the Conn's lock, or for Config.Store.
func (a *alarms) ring() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for now := time.Now(); len(a.queue) > 0 && !now.Before(a.queue[0].alarm.at); {
		go heap.Pop(&a.queue).(*Conn).tick()
	}
	if a.rings = (time.Time{}); len(a.queue) == 0 {
		a.rest()
	} else {
		a.arm()
	}
}

// rest lets go of the memory, as there is nobody to wake.
func (a *alarms) rest() { a.queue, a.timer, a.rings = nil, nil, time.Time{} }

// An alarm is when a Conn is woken. Its alarms guard it.
type alarm struct {
	at    time.Time
	place int // in the queue, counted from one; 0: none
}

// An alarmQueue is a heap, who is woken first on top.
type alarmQueue []*Conn

func (q alarmQueue) Len() int           { return len(q) }
func (q alarmQueue) Less(i, j int) bool { return q[i].alarm.at.Before(q[j].alarm.at) }

func (q alarmQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].alarm.place, q[j].alarm.place = i+1, j+1
}

func (q *alarmQueue) Push(x any) {
	c := x.(*Conn)
	*q = append(*q, c)
	c.alarm.place = len(*q)
}

func (q *alarmQueue) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	(*q)[last], *q = nil, (*q)[:last]
	c.alarm.place = 0
	return c
}
